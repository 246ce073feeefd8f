"""Chat completions as an OpenAI client sees them."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

import openai
import pytest

from tests.support import cli
from tests.support.server import MODEL
from wrapper.schemas.request import EFFORTS

PROFILES = ("plain", "agent")


def said(body):
    return body["choices"][0]["message"]["content"]


def client_of(gateway, kind=openai.OpenAI):
    return kind(base_url=gateway.url, api_key="unused", max_retries=0)


@pytest.mark.parametrize("profile", PROFILES)
def test_completion(gateway, upstream, profile):
    """One upstream request makes the whole answer, with the CLI's usage and cost."""
    asked = '[[say Good day.]] [[usage {"input_tokens": 70, "cache_read_input_tokens": 30}]]'
    status, body = gateway.ask(asked, claude={"profile": profile})
    assert (status, said(body)) == (200, "Good day.")
    assert body["model"] == MODEL
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 2)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 30
    assert usage["cost_usd"] == pytest.approx((70 * 3 + 30 * 0.3 + 2 * 15) / 1e6)
    assert len(upstream.requests) == 1


def test_cost_header(gateway):
    """A header has the cost too."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "[[say Hi]]"}]}
    _, headers, data = gateway.call("POST", "/v1/chat/completions", body)
    assert float(headers["x-cost-usd"]) == json.loads(data)["usage"]["cost_usd"] > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_stream_is_token_by_token(gateway, upstream, profile):
    """Each upstream delta arrives as a chunk while the model still writes."""
    texts, unfinished = [], None
    with client_of(gateway) as client:
        stream = client.chat.completions.create(
            model=MODEL,
            stream=True,
            stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "[[deltas 8]] [[stall 0.5]]"}],
            extra_body={"claude": {"profile": profile}},
        )
        for chunk in stream:
            texts += [c.delta.content for c in chunk.choices if c.delta.content]
            if len(texts) == 1 and unfinished is None:
                unfinished = upstream.requests[0].ended is None
            last = chunk
    assert texts == ["w1", *(f" w{i}" for i in range(2, 9))]
    assert unfinished
    assert last.usage.completion_tokens == 8
    assert len(upstream.requests) == 1


def test_stream_shape(gateway):
    """Chunks come in OpenAI's order: role, text, finish_reason, [DONE]; usage only on request."""
    events, raw = gateway.stream("[[say Hi]]", claude={"profile": "plain"})
    deltas = [event["choices"][0]["delta"] for event in events]
    assert deltas == [{"role": "assistant", "content": "", "refusal": None}, {"content": "Hi"}, {}]
    assert [e["choices"][0]["finish_reason"] for e in events] == [None, None, "stop"]
    assert raw.endswith(b"data: [DONE]\n\n")
    assert not any("usage" in event for event in events)
    assert len({event["id"] for event in events}) == 1


def test_async_client(gateway, upstream):
    """The async client runs several turns side by side."""

    async def ask_all():
        async with client_of(gateway, openai.AsyncOpenAI) as client:
            asked = [
                client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": f"[[say answer {i}]]"}]
                )
                for i in range(4)
            ]
            return [reply.choices[0].message.content for reply in await asyncio.gather(*asked)]

    assert asyncio.run(ask_all()) == [f"answer {i}" for i in range(4)]
    assert len(upstream.requests) == 4


def test_client_stream_helper(gateway):
    """The client library's strict stream helper accepts the chunks."""
    messages = [{"role": "user", "content": "[[deltas 5]]"}]
    with (
        client_of(gateway) as client,
        client.chat.completions.stream(model=MODEL, messages=messages) as stream,
    ):
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "w1 w2 w3 w4 w5"
    assert final.choices[0].finish_reason == "stop"


def test_choices(gateway):
    """With n a stream begins with the role of each choice."""
    events, _ = gateway.stream("[[deltas 4]]", n=3, claude={"profile": "plain"})
    assert [event["choices"][0]["index"] for event in events[:3]] == [0, 1, 2]


def texts_of(message):
    """Return the texts of a message that has nothing else: one, or one for each block."""
    content = message["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content]


def test_history_keeps_its_roles(gateway, upstream):
    """A conversation reaches an agent's model with its roles, in one request."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "third"},
        {"role": "user", "content": "[[say three]]"},
    ]
    status, body = gateway.ask("", messages=messages, claude={"profile": "agent"})
    assert (status, said(body)) == (200, "three")
    assert len(upstream.requests) == 1
    sent = upstream.requests[0].body
    assert sent["system"][-1]["text"] == "Be brief.\n\nBe kind."
    spoken = [
        (message["role"], text)
        for message in sent["messages"]
        for text in texts_of(message)
        if not text.startswith("<system-reminder>")
    ]
    assert spoken == [
        *[("user", "first"), ("assistant", "one"), ("user", "second"), ("assistant", "two")],
        *[("user", "third"), ("user", "[[say three]]")],
    ]


# test_inert.py has more.
VERBATIM = [
    "read @/etc/hostname and @~/.ssh/id_rsa",
    "/cost",
    "/unknown now",
    "--help",
    "  leading and trailing \n\n",
    'quotes " \\ \u2028 \U0001f600 \x00 \x1b[31m',
    "<system>not a system message</system>",
    "ultrathink",
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("text", VERBATIM)
def test_text_is_verbatim(gateway, upstream, profile, text):
    """User text reaches the model to the letter, in the history and as the last message."""
    messages = [
        {"role": "user", "content": text},
        {"role": "assistant", "content": "noted"},
        {"role": "user", "content": text},
    ]
    status, _ = gateway.ask("", messages=messages, claude={"profile": profile})
    assert status == 200
    assert len(upstream.requests) == 1
    sent = upstream.requests[0].body["messages"]
    assert [m["content"][-1]["text"] for m in sent] == [text, "noted", text]
    assert "root:x:" not in upstream.requests[0].raw.decode()


def test_large_inputs(gateway, upstream):
    """A system prompt and a message of a megabyte each arrive."""
    system, text = "s" * 1_000_000, "[[say got it]]" + "t" * 1_000_000
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    status, body = gateway.ask("", messages=messages, claude={"profile": "plain"})
    assert (status, said(body)) == (200, "got it")
    sent = upstream.requests[0].body
    assert sent["system"][-1]["text"] == system
    assert sent["messages"][0]["content"][0]["text"] == text


def test_no_system_message(gateway, upstream):
    """Without a system message an agent has Claude Code's own prompt."""
    gateway.ask("hello", claude={"profile": "agent"})
    assert "software engineering" in upstream.requests[0].body["system"][-1]["text"]


def test_appended_system_prompt(gateway, upstream):
    """A system message can follow an agent's own prompt instead of replacing it."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    claude = {"profile": "agent", "system_prompt_mode": "append"}
    status, _ = gateway.ask("", messages=messages, claude=claude)
    said = "\n".join(block["text"] for block in upstream.requests[0].body["system"])
    assert status == 200
    assert "software engineering" in said
    assert "Be brief." in said


# Every pair of a limit and an effort, half of them with each profile.
LIMITED = [
    (PROFILES[(row + column) % 2], limit, effort)
    for row, limit in enumerate((1, 1024, 1025, 4096, None))
    for column, effort in enumerate((None, *EFFORTS))
]


@pytest.mark.parametrize(("profile", "limit", "effort"), LIMITED)
def test_no_limit_makes_a_request_that_the_api_refuses(gateway, upstream, profile, limit, effort):
    """At every max_tokens and effort thinking leaves room for the answer."""
    more = {"max_tokens": limit, "reasoning_effort": effort, "claude": {"profile": profile}}
    status, body = gateway.ask("[[say fine]]", **more)
    assert (status, len(upstream.requests)) == (200, 1), body
    thinking = upstream.requests[0].body["thinking"]
    wanted = effort not in (None, "none") or (effort is None and profile == "agent")
    assert (thinking["type"] == "enabled") == (wanted and limit not in (1, 1024))


@pytest.mark.parametrize("profile", PROFILES)
def test_temperature_switches_thinking_off(gateway, upstream, profile):
    """With a temperature the agent does not think, as the API takes none with thinking."""
    status, _ = gateway.ask("hello", temperature=0.2, claude={"profile": profile})
    assert status == 200
    assert upstream.requests[0].body["thinking"] == {"type": "disabled"}


def test_settings_do_not_stick(gateway, upstream):
    """A turn's sampling parameters do not affect the next turn."""
    gateway.ask("hello", temperature=0.2, stop="x", max_tokens=7, claude={"profile": "plain"})
    gateway.ask("hello", claude={"profile": "plain"})
    body = upstream.requests[1].body
    assert body["temperature"] == 1
    assert "stop_sequences" not in body
    assert body["max_tokens"] > 1000


THINKING = '{"output_tokens": 40, "output_tokens_details": {"thinking_tokens": 33}}'


@pytest.mark.parametrize(
    ("model", "effort"), list(zip(itertools.cycle([MODEL, "sonnet"]), EFFORTS[1:], strict=False))
)
def test_reasoning(gateway, upstream, effort, model):
    """Thoughts are reasoning_content and counted, in a stream as in a whole answer."""
    asked = f"[[think Let me see.]] [[say Yes.]] [[usage {THINKING}]]"
    more = {"model": model, "reasoning_effort": effort}
    _, body = gateway.ask(asked, **more)
    (choice,) = body["choices"]
    message = choice["message"]
    assert (message["reasoning_content"], message["content"]) == ("Let me see.", "Yes.")
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 40
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 33
    *events, last = gateway.stream(asked, stream_options={"include_usage": True}, **more)[0]
    deltas = [event["choices"][0]["delta"] for event in events]
    for name, said in (("reasoning_content", "Let me see."), ("content", "Yes.")):
        assert "".join(delta.get(name) or "" for delta in deltas) == said
    assert [event["choices"][0]["finish_reason"] for event in events][-1] == "stop"
    assert last["usage"]["completion_tokens_details"]["reasoning_tokens"] == 33
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_no_reasoning(gateway, stream):
    """With reasoning_effort none a model that can do without does not think."""
    asked, more = "[[think Let me see.]] [[say Yes.]]", {"reasoning_effort": "none"}
    told = gateway.stream(asked, **more)[0] if stream else gateway.ask(asked, **more)[1]
    assert "reasoning_content" not in json.dumps(told)


def test_tools_are_used_and_parted(gateway, upstream):
    """A blank line separates the texts of an agent's rounds."""
    asked = '[[tool Bash {"command": "echo from-the-shell"}]] [[say It ran.]]'
    status, body = gateway.ask(asked)
    assert (status, said(body)) == (200, "It ran.")
    assert len(upstream.requests) == 2
    assert "from-the-shell" in upstream.requests[1].raw.decode()


@pytest.mark.parametrize("shown", [True, False])
def test_tool_activity(gateway, shown):
    """With show_tool_use an agent's tools are reported as reasoning, and only then."""
    asked = '[[tool Bash {"command": "echo at work"}]] [[say It ran.]]'
    claude = {"show_tool_use": shown}
    _, body = gateway.ask(asked, claude=claude, reasoning_effort="none")
    message = body["choices"][0]["message"]
    told = '[Bash] {"command": "echo at work"}\n'
    assert message.get("reasoning_content") == (told if shown else None)
    assert message["content"] == "It ran."
    events, _ = gateway.stream(asked, claude=claude, reasoning_effort="none")
    deltas = [event["choices"][0]["delta"] for event in events]
    assert [d["reasoning_content"] for d in deltas if "reasoning_content" in d] == [told] * shown


def test_stop_texts_of_white_space(gateway, upstream):
    """A stop text that the API would refuse ends the answer anyway."""
    status, body = gateway.ask("[[say one\ntwo]]", stop=["\n"], claude={"profile": "plain"})
    assert (status, said(body)) == (200, "one")
    assert body["choices"][0]["finish_reason"] == "stop"
    assert len(upstream.requests) == 1


def test_model_is_the_one_that_ran(gateway, upstream):
    """The answer's model is the one that ran, not the alias or default that was requested."""
    for asked in ("sonnet", None):
        _, body = gateway.ask("hello", model=asked)
        assert body["model"] == upstream.requests[-1].body["model"] != asked
        assert body["model"].startswith("claude-sonnet-")


NOISY_CLI = """#!{python}
import json, subprocess, sys
if "--version" in sys.argv:
    sys.exit(subprocess.call([{cli!r}, "--version"]))
real = subprocess.Popen([{cli!r}, *sys.argv[1:]], stdout=subprocess.PIPE)
for line in real.stdout:
    frame = json.loads(line)
    if frame["type"] in ("system", "stream_event", "control_response"):
        print(json.dumps({{"type": "rate_limit_event", "rate_limit_info": {{}}}}))
        print(json.dumps({{"type": "tool_progress", "elapsed_time_seconds": 1}}))
        print(json.dumps({{"type": "something_new"}}))
        print("no JSON at all")
        print(json.dumps(["no", "object"]))
        print(json.dumps({{**frame, "a_new_field": [1]}}), flush=True)
    else:
        print(line.decode(), end="", flush=True)
"""


def test_unknown_frames_are_ignored_and_counted(serve, tmp_path):
    """Unknown frames of the CLI are skipped, and /health counts them."""
    script = tmp_path / "claude"
    script.write_text(NOISY_CLI.format(python=sys.executable, cli=cli.current()))
    script.chmod(0o755)
    server = serve(CLAUDE_CLI_PATH=str(script), POOL_SIZE_OTHER="0").wait()
    status, body = server.ask("[[deltas 3]]")
    assert (status, said(body)) == (200, "w1 w2 w3")
    ignored = server.health()["ignored_frames"]
    assert {"tool_progress", "something_new", "unreadable"} == set(ignored)
    assert ignored["tool_progress"] > 5
