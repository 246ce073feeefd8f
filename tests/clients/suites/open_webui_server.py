"""Open WebUI's own server, with the gateway as its only connection, started as the console says."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

DEADLINE = 200
SETTINGS = {
    "AUDIO_STT_ENGINE": "openai",  # so that it loads no models of its own
    "BYPASS_MODEL_ACCESS_CONTROL": "True",
    "DO_NOT_TRACK": "true",
    "ENABLE_OLLAMA_API": "False",
    "ENABLE_VERSION_UPDATE_CHECK": "False",
    "HF_HUB_OFFLINE": "1",
    "OFFLINE_MODE": "True",
    "RAG_EMBEDDING_ENGINE": "openai",
    "SCARF_NO_ANALYTICS": "true",
    "WEBUI_AUTH": "False",
    "WEBUI_SECRET_KEY": "a-secret-of-the-test",
}


class Site:
    """A running Open WebUI, and a user who has signed in."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        snippet = Path(os.environ["CLIENT_SNIPPETS"], "open-webui.sh").read_text()
        programs = Path(sys.executable).parent
        self._process = subprocess.Popen(
            ["sh", "-c", f"exec env {snippet} --host 127.0.0.1 --port {port}"],
            env={
                **os.environ,
                **SETTINGS,
                "DATA_DIR": str(folder),
                "PATH": f"{programs}:{os.environ['PATH']}",
            },
            stdout=(folder / "log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        self._log = folder / "log"

    def wait(self):
        """Wait until it serves."""
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(httpx.ConnectError):
                return self.call("/health")
            time.sleep(0.2)
        raise AssertionError(self._log.read_text())

    def sign_in(self):
        self._token = self.call("/api/v1/auths/signin", {"email": "", "password": ""})["token"]

    def call(self, path, body=None):
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        method = "GET" if body is None else "POST"
        response = httpx.request(method, self._url + path, json=body, headers=headers, timeout=60)
        return response.raise_for_status().json()

    def chat(self, *messages):
        """Return the answer to messages, each a role and a text."""
        body = {
            "model": os.environ["CLIENT_MODEL"],
            "messages": [{"role": role, "content": text} for role, text in messages],
            "stream": False,
        }
        return self.call("/api/chat/completions", body)["choices"][0]["message"]["content"]

    def stop(self):
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    running = Site(tmp_path_factory.mktemp("data"))
    try:
        running.wait()
        running.sign_in()
        running.call("/api/models")  # it asks the gateway which models there are
        yield running
    finally:
        running.stop()


def test_answer(site):
    """A question is answered."""
    assert site.chat(("user", "[[say Good day.]]")) == "Good day."


def test_continue(site):
    """Its button "Continue Response" sends the answer so far as the last message."""
    assert site.chat(("user", "[[say Good day.]]"), ("assistant", "Well,"))


def test_greeting(site):
    """A chat may begin with a greeting by the assistant."""
    messages = [("assistant", "Hello, I am Claude."), ("user", "[[say Good day.]]")]
    assert site.chat(*messages) == "Good day."
