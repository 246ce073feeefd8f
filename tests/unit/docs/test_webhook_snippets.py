"""The snippets of docs/webhooks.md verify what the gateway sends."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import missing
from tests.support.webhooks import OTHER_SECRET, SECRET
from wrapper.services.webhooks.event import TYPES, new_delivery
from wrapper.services.webhooks.signature import signed_headers

PAGE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
RUN = """
import { verified } from "./verify.mjs";
const [body, headers, secret] = JSON.parse(process.argv[2]);
try {
  console.log(verified(body, headers, secret).type);
} catch (error) {
  console.log(error.message);
}
"""


def snippet(language):
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return text


def sent(type_="response.completed", secret=SECRET, age=0):
    """Return the body and the headers of an event that was signed so many seconds ago."""
    delivery = new_delivery("alice", type_, {"id": "x_1"}, "1", time.time())
    headers = signed_headers(delivery.id, int(time.time()) - age, delivery.body, secret)
    return delivery.body, headers


@pytest.mark.parametrize("type_", TYPES)
def test_python(monkeypatch, capsys, type_):
    """The snippet for Python takes events of each type, and refuses what another has signed."""
    monkeypatch.setenv("MY_WEBHOOK_SECRET", SECRET)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(snippet("python"), names)  # noqa: S102 - it is our own
    client = names["app"].test_client()
    body, headers = sent(type_)
    assert client.post("/hook", data=body, headers=headers).status_code == 204
    assert capsys.readouterr().out == f"{type_} x_1\n"
    body, headers = sent(type_, OTHER_SECRET)
    assert client.post("/hook", data=body, headers=headers).status_code == 400
    names["client"].close()


def test_node(tmp_path):
    """The snippet for Node takes an event, and refuses one that is old or another has signed."""
    node = shutil.which("node")
    if not node:
        missing("node to run a snippet with")
    (tmp_path / "verify.mjs").write_text(snippet("js"))
    (tmp_path / "run.mjs").write_text(RUN)
    outcomes = []
    for body, headers in (sent(), sent(age=600), sent(secret=OTHER_SECRET)):
        command = [str(node), str(tmp_path / "run.mjs"), json.dumps([body, headers, SECRET])]
        outcomes.append(subprocess.run(command, capture_output=True, text=True).stdout.strip())
    assert outcomes == ["response.completed", "the event is too old", "the signature is wrong"]
