"""IGNORE_PARAMS: what the operator has ignored is named, and causes no error."""

import pytest

from tests.support.scripted_server import ScriptedServer
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.schemas.parameters import Kind
from wrapper.settings import IGNORABLE, Settings, SettingsError, load, mistakes_of

NAMES = ("logprobs", "top_logprobs", "logit_bias")
ASKED = {"logprobs": True, "top_logprobs": 5, "logit_bias": {"50256": -100}}


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
def server(request):
    return ScriptedServer(ignore_params=NAMES, strict_params=request.param)


@pytest.mark.parametrize("stream", [False, True])
def test_named(server, stream):
    """They are named in the answer's header, also where STRICT_PARAMS allows nothing else."""
    response = server.ask(stream=stream, **ASKED)
    assert response.status_code == 200
    assert response.headers["x-ignored-params"] == ", ".join(NAMES)


def test_what_asks_for_nothing(server):
    """One that asks for nothing is not named."""
    response = server.ask(logprobs=False, top_logprobs=None, logit_bias={})
    assert (response.status_code, "x-ignored-params" in response.headers) == (200, False)


def test_wrong_values(server):
    """What is ignored is not looked at."""
    response = server.ask(logprobs="yes", logit_bias=[1])
    assert (response.status_code, response.headers["x-ignored-params"]) == (
        200,
        "logprobs, logit_bias",
    )


def test_others_are_refused(server):
    """Any other parameter is treated as before."""
    assert server.ask(audio={"voice": "x"}).json["error"]["param"] == "audio"


def test_honoured(server):
    """A parameter that would be honoured has no effect where it is ignored."""
    server = ScriptedServer(ignore_params=("temperature", "reasoning_effort"))
    response = server.ask(model="claude-sonnet-4-20250514", temperature=0.1, reasoning_effort="low")
    assert response.headers["x-ignored-params"] == "temperature, reasoning_effort"
    assert server.engine.turns[0].sampling.temperature is None


def test_without():
    """By default nothing is ignored that asks for something."""
    assert ScriptedServer().ask(logprobs=True).json["error"]["code"] == "unsupported_parameter"


@pytest.mark.parametrize(
    "name", ["messages", "model", "tools", "stream", "n", "response_format", "claude", "no_such"]
)
def test_makes_no_sense(monkeypatch, tmp_path, name):
    """A name without which there is no answer to what was asked stops the start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IGNORE_PARAMS", f"logprobs, {name}")
    with pytest.raises(SettingsError, match=f"IGNORE_PARAMS: {name} cannot be ignored"):
        load()


def test_ignorable():
    """All that is refused or has no effect may be ignored, and of the rest what only tunes."""
    without_effect = {*PARAMETERS.of(Kind.REFUSED), *PARAMETERS.of(Kind.IGNORED)}
    tuning = {"temperature", "top_p", "reasoning_effort", "thinking"}
    assert set(IGNORABLE) == without_effect | tuning
    assert set(IGNORABLE) <= set(PARAMETERS)
    assert not mistakes_of(Settings(ignore_params=IGNORABLE))


def test_from_within():
    """The app's own code may send them, too."""
    gateway = ScriptedServer(ignore_params=NAMES).app.extensions["wrapper"]
    told = gateway.chat.complete([{"role": "user", "content": "Hi"}], logprobs=True)
    assert told.notes["x-ignored-params"] == "logprobs"
