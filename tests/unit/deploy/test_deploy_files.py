"""The files of deploy/: right by their own tools' lights, and of one mind with the gateway."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli import missing
from tests.support.deployments import (
    COMPOSE,
    DEPLOY,
    KUBERNETES,
    MIB,
    ROOT,
    UNIT,
    compose,
    copied,
    image,
    instructions,
    kubernetes,
    systemd,
)
from tests.support.nginx import CONF, Nginx
from wrapper import host
from wrapper.routes.json_body import BODY_BYTES
from wrapper.server import config
from wrapper.services.claude.processes.profiles import PASSED
from wrapper.settings import Settings, load

TOOLS = "pip install -r requirements-deploy.txt"
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.30", "1.37"
SECRET = re.compile(r"(?i)\b(api_key|password|token|secret)\w*\s*[:=]\s*['\"]?\w")


DEPLOYMENTS = {read.__name__: read() for read in (compose, kubernetes, systemd)}
EACH = pytest.mark.parametrize("deployment", DEPLOYMENTS.values(), ids=DEPLOYMENTS)


def check(program: str, mend: str, *arguments: str, **options: Any) -> None:
    """Let a *program* check something; it has to find nothing."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    found = shutil.which(program, path=path)
    if not found:
        missing(f"{program} to test with: {mend}")
    done = subprocess.run([str(found), *arguments], capture_output=True, text=True, **options)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_dockerfile():
    """hadolint has nothing to say against the Dockerfile."""
    check("hadolint", TOOLS, str(DEPLOY / "Dockerfile"))


def test_compose(tmp_path):
    """Docker Compose takes the file."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / ".env").touch()
    file = shutil.copy(DEPLOY / "compose.yaml", tmp_path / "deploy")
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REDIS_PASSWORD": "word"}
    arguments = ("-f", str(file), "config", "-q")
    check("docker-compose", "apt-get install docker-compose", *arguments, env=variables)


@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
def test_kubernetes(version):
    """Kubernetes' own schemas hold, of the oldest and the newest version that there are."""
    arguments = ("-k", version, "--strict", "--quiet", str(DEPLOY / "kubernetes.yaml"))
    check("kubernetes-validate", TOOLS, *arguments)


def test_unit(tmp_path):
    """systemd takes the unit, whose program is looked for where it is here."""
    here = UNIT.replace("/opt/claude-code-gateway/.venv/bin", str(Path(sys.executable).parent))
    assert here != UNIT
    unit = tmp_path / "claude-code-gateway.service"
    unit.write_text(here)
    check("systemd-analyze", "apt-get install systemd", "verify", "--man=no", str(unit))


def test_nginx(tmp_path):
    """nginx takes its file."""
    assert Nginx(tmp_path, 1, 2).check() == ""


@EACH
def test_time_to_stop(deployment, monkeypatch, tmp_path):
    """Nothing is killed before its turns could end, or tell that they were ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRACEFUL_TIMEOUT", deployment.variables["GRACEFUL_TIMEOUT"])
    graceful = config.configuration()["graceful_timeout"]
    assert deployment.lost + graceful < deployment.seconds


@EACH
def test_memory(deployment, monkeypatch, tmp_path):
    """As many turns run at once as the file says, and its sum is right and within its limit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host, "memory", lambda: deployment.memory)
    monkeypatch.setattr(host, "cores", lambda: 8)
    text = re.sub(r"\n *# ", " ", deployment.text)
    said = re.search(
        r"(\d+) turns at once,.*?: (256 \+ \((\d+) \+ 2 \+ 1\) \S 230) = (\d+) MiB", text
    )
    assert said
    settings = load()
    assert int(said[1]) == int(said[3]) == settings.max_concurrent_turns
    assert (settings.pool_size, settings.pool_size_other) == (2, 1)
    assert int(said[4]) == 256 + (int(said[3]) + 3) * 230
    assert int(said[4]) * MIB <= deployment.memory


def test_settings_exist():
    """What is set is a setting, or goes to Claude Code."""
    settings = {row.name.upper() for row in fields(Settings)}
    deployed = [one.variables for one in DEPLOYMENTS.values()]
    names = {name for variables in (image(), *deployed) for name in variables}
    not_the_gateways = {"PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK"}
    not_the_gateways |= {"PYTHONUNBUFFERED"}
    left = names - settings - not_the_gateways
    assert [name for name in left if not any(fnmatch.fnmatch(name, one) for one in PASSED)] == []


@EACH
def test_values_are_taken(deployment, monkeypatch, tmp_path):
    """The gateway takes what is set, with the key that it asks for."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**image(), **deployment.variables, "API_KEY": "the-key"}.items():
        told = value.replace("$(REDIS_URL)", "redis://redis:6379/0")
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "word", told))
    settings = load()
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)


def test_ports():
    """The port that the gateway listens on is the one that it is asked at."""
    assert (
        image()["PORT"] == compose().variables["PORT"] == kubernetes().variables["PORT"] == "8000"
    )
    assert ("EXPOSE", "8000") in list(instructions())
    deployment, service = yaml.safe_load_all(KUBERNETES)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    services = yaml.safe_load(COMPOSE)["services"]
    upstreams = re.findall(r"^ *server (\w+):(\d+)", CONF.read_text(), re.M)
    assert upstreams == [(name, "8000") for name in services if name.startswith("gateway")]
    (listen,) = re.findall(r"^ *listen (\d+);", CONF.read_text(), re.M)
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published == {"nginx": [f"127.0.0.1:{listen}:{listen}"]}


def test_nginx_has_patience():
    """nginx takes what a gateway takes, and waits for as long as a turn and its waits may need."""
    text = CONF.read_text()
    (body,) = re.findall(r"client_max_body_size (\d+)m;", text)
    assert int(body) * MIB > BODY_BYTES
    seconds = max(map(int, re.findall(r"proxy_read_timeout (\d+)s;", text)))
    least = Settings()
    assert seconds > least.max_timeout / 1000 + least.queue_timeout + least.session_wait


def test_no_secrets():
    """No key and no password stands in a file, but by the name of what holds it."""
    for path in DEPLOY.iterdir():
        bare = re.sub(r"^\s*#.*$|\$\{.*?\}|secretKeyRef: \{.*?\}", "", path.read_text(), flags=re.M)
        assert SECRET.findall(bare) == [], path.name


def test_not_root():
    """No gateway is root's, and none is given more rights than it needs."""
    users = [words for word, words in instructions() if word == "USER"]
    pod = next(yaml.safe_load_all(KUBERNETES))["spec"]["template"]["spec"]
    assert users == [str(pod["securityContext"]["runAsUser"])] == ["10001"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    own = pod["containers"][0]["securityContext"]
    assert (own["allowPrivilegeEscalation"], own["capabilities"]) == (False, {"drop": ["ALL"]})
    assert yaml.safe_load(COMPOSE)["services"]["gateway1"]["cap_drop"] == ["ALL"]
    assert "\nUser=claude-gateway\n" in UNIT


def test_what_is_copied():
    """What the Dockerfile copies is there, and nothing else gets into the build."""
    kept = {path.name for path in copied()}
    assert [path for path in copied() if not path.exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == kept


def test_command():
    """The image starts what the README says starts a server, as process 1, which hears signals."""
    (command,) = (json.loads(words) for word, words in instructions() if word == "CMD")
    assert " ".join(command) == "gunicorn -c gunicorn.conf.py wsgi:app"
    assert f"`{' '.join(command)}`" in (ROOT / "README.md").read_text()
