"""Every form of message through the real CLI: the API gets what a direct call would contain."""

from __future__ import annotations

import base64
import copy
import io
import json
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from PIL import Image

from tests.support.pictures import FORMATS, noise, part, picture
from tests.support.server import MODEL

PROFILES = ("plain", "agent")
LATER = "claude-opus-4-7"
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>").decode()
QUESTION = {"role": "user", "content": "[[say fine]]"}


def text(said):
    return {"type": "text", "text": said}


def image(data, kind="png"):
    held = base64.b64encode(data).decode()
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": f"image/{kind}", "data": held},
    }


def use(call_id, name, arguments):
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(call_id, *blocks):
    return {"type": "tool_result", "tool_use_id": call_id, "content": list(blocks)}


def call(call_id, name, arguments="{}"):
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def without_additions(blocks):
    """Return *blocks* without the CLI's cache marks and reminders."""
    kept = []
    for block in blocks:
        block = {key: value for key, value in block.items() if key != "cache_control"}
        if block["type"] == "tool_result":
            kept.append({**block, "content": without_additions(block["content"])})
        elif not block.get("text", "").startswith("<system-reminder>"):
            kept.append(block)
    return kept


def arrived(upstream):
    """Return the messages of the one upstream request, as pairs of role and blocks."""
    assert len(upstream.requests) == 1
    messages = upstream.requests[0].body["messages"]
    return [(m["role"], without_additions(m["content"])) for m in messages]


def ask(gateway, *messages, model=MODEL, **more):
    """Return status, headers and parsed body of a completion."""
    body = {"model": model, "messages": messages, **more}
    status, headers, data = gateway.call("POST", "/v1/chat/completions", body)
    return status, headers, json.loads(data)


CALLED: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [call("call_1", "look", '{"at": ["ä", 1.5]}'), call("a|b:0", "wait", "")],
}
RESULTS: list[dict[str, Any]] = [
    {"role": "tool", "tool_call_id": "a|b:0", "content": ""},
    {"role": "tool", "tool_call_id": "call_1", "content": [text("a cat"), part(noise("png"))]},
]
FOREIGN = "hex_" + b"a|b:0".hex()
USES = [use("call_1", "look", {"at": ["ä", 1.5]}), use(FOREIGN, "wait", {})]
ANSWERED = [result(FOREIGN), result("call_1", text("a cat"), image(noise("png")))]
URL = "https://x.test/a.png"
SAY = text("[[say fine]]")
TEXT_FILE = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "@/etc/passwd"},
}

SHAPES: dict[str, tuple[list[Any], list[Any]]] = {
    "a text": ([QUESTION], [("user", [SAY])]),
    **{
        kind: (
            [{"role": "user", "content": [SAY, part(noise(kind), kind), text("b")]}],
            [("user", [SAY, image(noise(kind), kind), text("b")])],
        )
        for kind in FORMATS
    },
    "a picture by its URL": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}, SAY]}],
        [("user", [{"type": "image", "source": {"type": "url", "url": URL}}, SAY])],
    ),
    "a PDF": (
        [
            {
                "role": "user",
                "content": [
                    {
                        "type": "file",
                        "file": {
                            "file_data": f"data:application/pdf;base64,{PDF}",
                            "filename": "a.pdf",
                        },
                    },
                    SAY,
                ],
            }
        ],
        [
            (
                "user",
                [
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                        "title": "a.pdf",
                    },
                    SAY,
                ],
            )
        ],
    ),
    "a text file": (
        [
            {
                "role": "user",
                "content": [{"type": "file", "file": {"file_data": "@/etc/passwd"}}, SAY],
            }
        ],
        [
            (
                "user",
                [
                    TEXT_FILE,
                    SAY,
                ],
            )
        ],
    ),
    "pictures said earlier": (
        [
            {"role": "user", "content": [part(noise("png")), text("a")]},
            {"role": "assistant", "content": "I see."},
            {"role": "user", "content": [part(noise("gif"), "gif")]},
            QUESTION,
        ],
        [
            ("user", [image(noise("png")), text("a")]),
            ("assistant", [text("I see.")]),
            ("user", [image(noise("gif"), "gif"), SAY]),
        ],
    ),
    "results at the end": (
        [QUESTION, CALLED, *RESULTS],
        [("user", [SAY]), ("assistant", USES), ("user", ANSWERED)],
    ),
    "results and a question": (
        [QUESTION, {**CALLED, "content": "Wait."}, *RESULTS, QUESTION],
        [("user", [SAY]), ("assistant", [text("Wait."), *USES]), ("user", [*ANSWERED, SAY])],
    ),
    "results said earlier": (
        [QUESTION, CALLED, *RESULTS, {"role": "assistant", "content": "A cat."}, QUESTION],
        [
            ("user", [SAY]),
            ("assistant", USES),
            ("user", ANSWERED),
            ("assistant", [text("A cat.")]),
            ("user", [SAY]),
        ],
    ),
    "a call of the older way": (
        [
            QUESTION,
            {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": 1}'}},
            {"role": "function", "name": "f", "content": "one"},
        ],
        [
            ("user", [SAY]),
            ("assistant", [use("function_call_1", "f", {"a": 1})]),
            ("user", [result("function_call_1", text("one"))]),
        ],
    ),
    "Anthropic's parts": (
        [
            {"role": "user", "content": [image(noise("png")), TEXT_FILE, text("a")]},
            {"role": "assistant", "content": [use("call_1", "look", {"at": 1})]},
            {"role": "user", "content": [result("call_1", text("one"))]},
            {"role": "assistant", "tool_calls": [call("call_2", "wait")]},
            {"role": "tool", "tool_call_id": "call_2", "content": [image(noise("gif"), "gif")]},
            QUESTION,
        ],
        [
            ("user", [image(noise("png")), TEXT_FILE, text("a")]),
            ("assistant", [use("call_1", "look", {"at": 1})]),
            ("user", [result("call_1", text("one"))]),
            ("assistant", [use("call_2", "wait", {})]),
            ("user", [result("call_2", image(noise("gif"), "gif")), SAY]),
        ],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(gateway, upstream, shape):
    """An agent's model, too, gets each kind of content as it was sent, in one request."""
    messages, blocks = SHAPES[shape]
    status, headers, body = ask(gateway, *messages, claude={"profile": "agent"})
    assert status == 200, body
    assert body["choices"][0]["message"]["content"] == "fine"
    for _, told in (blocks := copy.deepcopy(blocks)):
        for block in told:
            if block["type"] == "tool_use":  # so named beside an agent's own tools
                block["name"] = f"mcp__client__{block['name']}"
    assert arrived(upstream) == blocks
    assert "x-resized-images" not in headers


def test_functions_of_the_history(gateway, upstream):
    """An agent with tools needs no definitions of the functions in its history."""
    ask(gateway, QUESTION, CALLED, *RESULTS, claude={"profile": "agent"})
    sent = upstream.requests[0].body
    assert "Bash" in [tool["name"] for tool in sent["tools"]]
    assert "tool_choice" not in sent


def test_agent_without_tools(serve, upstream):
    """An agent without tools gets the functions of its history, which the API demands."""
    server = serve(CLAUDE_TOOLS="none", POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    status, _, body = ask(server, QUESTION, CALLED, *RESULTS, claude={"profile": "agent"})
    assert status == 200, body
    sent = upstream.requests[0].body
    names = ["mcp__client__look", "mcp__client__wait"]
    assert ([tool["name"] for tool in sent["tools"]], sent["tool_choice"]) == (
        names,
        {"type": "none"},
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_urls_are_not_fetched(gateway, upstream, profile):
    """The gateway does not fetch an image's URL."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/secret.png"
        shown = {"type": "image_url", "image_url": {"url": url}}
        message = {"role": "user", "content": [shown, SAY]}
        status, _, body = ask(gateway, message, claude={"profile": profile})
        server.shutdown()
    assert status == 200, body
    assert asked == []
    assert url in upstream.requests[0].raw.decode()


# The limits that services.claude.shrinking has, as the CLI keeps them.

WITHIN = [(0, 2000, 20), (0, 20, 2000), (512_000, 200, 200)]
BEYOND = [(0, 2001, 20), (0, 20, 2001), (512_002, 200, 200)]
PLACE = "messages.0.content.1"


def show(gateway, data, kind="png", **more):
    return ask(gateway, {"role": "user", "content": [SAY, part(data, kind)]}, **more)


def pictures_of(upstream):
    """Return the bytes of each image in the first message that arrived."""
    return [
        base64.b64decode(block["source"]["data"])
        for block in upstream.requests[0].body["messages"][0]["content"]
        if block["type"] == "image"
    ]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("size", "width", "height"), WITHIN)
def test_pictures_within_the_limits(gateway, upstream, size, width, height, kind):
    """An agent's image of up to 512,000 bytes and 2000 pixels a side arrives unchanged."""
    data = picture(kind, width, height, size)
    status, headers, body = show(gateway, data, kind, claude={"profile": "agent"})
    assert status == 200, body
    assert pictures_of(upstream) == [data]
    assert "x-resized-images" not in headers


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("size", "width", "height"), [(3_500_000, 200, 200), (0, 8000, 20)])
def test_pictures_in_plain(gateway, upstream, size, width, height, kind):
    """In plain any image that the API accepts arrives unchanged."""
    data = picture(kind, width, height, size)
    status, headers, body = show(gateway, data, kind, claude={"profile": "plain"})
    assert status == 200, body
    assert pictures_of(upstream) == [data]
    assert "x-resized-images" not in headers


@pytest.mark.parametrize("profile", PROFILES)
def test_mislabelled_pictures(gateway, upstream, profile):
    """An image with a wrong type, in another style of base64, arrives with its real type."""
    data = noise("jpeg")
    text = base64.encodebytes(data).decode().rstrip("=\n").replace("+", "-").replace("/", "_")
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}
    message = {"role": "user", "content": [SAY, shown]}
    status, headers, body = ask(gateway, message, claude={"profile": profile})
    assert status == 200, body
    assert pictures_of(upstream) == [data]
    assert '"media_type":"image/jpeg"' in upstream.requests[0].raw.decode()
    assert headers["x-corrected-files"] == PLACE


def _metadata(body, name=b"tEXt"):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("metadata", "corrected"),
    [
        (_metadata(b"workflow\0" + b"{}" * 1_500_000), False),
        (_metadata(b"a\0\0" + zlib.compress(bytes(50_000_000)), b"zTXt"), False),
        (_metadata(b"a\0b")[:-4] + bytes(4), True),
    ],
)
def test_metadata_of_pictures(gateway, upstream, profile, metadata, corrected):
    """An image arrives with its metadata, except chunks with a wrong checksum."""
    data = picture("png")
    sent = data[:33] + metadata + data[33:]
    status, headers, body = show(gateway, sent, claude={"profile": profile})
    assert status == 200, body
    (arrived,) = pictures_of(upstream)
    if len(sent) <= 512_000 or profile == "plain":
        assert arrived == (data if corrected else sent)
    else:
        assert Image.open(io.BytesIO(arrived)).size == (30, 20)
    assert headers.get("x-corrected-files") == (PLACE if corrected else None)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("size", "width", "height"), BEYOND)
def test_pictures_beyond_the_limits(gateway, upstream, size, width, height, kind):
    """A larger image arrives resized, and a header names it."""
    data = picture(kind, width, height, size)
    status, headers, body = show(gateway, data, kind, claude={"profile": "agent"})
    assert status == 200, body
    (other,) = pictures_of(upstream)
    assert other != data
    assert max(Image.open(io.BytesIO(other)).size) <= 2000
    assert headers["x-resized-images"] == PLACE


@pytest.mark.parametrize("model", [MODEL, LATER])
@pytest.mark.parametrize(
    ("width", "height", "shrunk"),
    [(1932, 1932, False), (1848, 2000, False), (1933, 1933, True), (2000, 2000, True)],
)
def test_pictures_for_later_models(gateway, upstream, model, width, height, shrunk):
    """Models after 4.6 get large images resized further, and the header says so only for them."""
    data = picture("png", width, height)
    _, headers, _ = show(gateway, data, model=model, claude={"profile": "agent"})
    shrunk = shrunk and model == LATER
    assert (pictures_of(upstream) != [data]) == shrunk
    assert headers.get("x-resized-images") == (PLACE if shrunk else None)


def test_pictures_in_the_history(gateway, upstream):
    """Earlier images are resized and named too; those in results are not resized."""
    large = picture("png", 2500, 20)
    messages = [
        {"role": "user", "content": [SAY, part(large), part(picture())]},
        {**CALLED, "tool_calls": [call("a", "look")]},
        {"role": "tool", "tool_call_id": "a", "content": [part(large)]},
    ]
    status, headers, body = ask(gateway, *messages, claude={"profile": "agent"})
    assert status == 200, body
    assert headers["x-resized-images"] == PLACE
    assert arrived(upstream)[-1] == ("user", [result("a", image(large))])
    assert pictures_of(upstream)[1] == picture()


def test_most_pictures(gateway, upstream):
    """A hundred images arrive unchanged; 101 are refused, as the CLI would drop some."""
    many = [picture("png", 20, 10 + nth) for nth in range(101)]
    content = [SAY, *(part(data) for data in many[:100])]
    status, _, body = ask(
        gateway, {"role": "user", "content": content}, claude={"profile": "plain"}
    )
    assert status == 200, body
    assert pictures_of(upstream) == many[:100]
    more = {"role": "user", "content": [*content, part(many[100])]}
    status, _, body = ask(gateway, more, claude={"profile": "plain"})
    assert (status, body["error"]["param"]) == (400, "messages.0.content.101")
    assert len(upstream.requests) == 1


def test_strict(serve, upstream):
    """With STRICT_PARAMS an image that would be resized is refused."""
    server = serve(STRICT_PARAMS="true", POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    status, _, body = show(server, picture("png", 2001, 20))
    assert (status, body["error"]["param"]) == (400, PLACE)
    assert show(server, picture("png", 2000, 20))[0] == 200
    assert len(upstream.requests) == 1


DEAR = {"role": "assistant", "content": "Dear"}


def test_prefill(gateway, upstream):
    """With claude.prefill a model that can continues the assistant's last message."""
    question = {"role": "user", "content": "[[say  Sir or Madam]]"}
    status, _, body = ask(gateway, question, DEAR, claude={"prefill": True})
    assert (status, body["choices"][0]["message"]["content"]) == (200, "Sir or Madam"), body
    assert arrived(upstream)[-1] == ("assistant", [text("Dear")])


@pytest.mark.parametrize(
    ("claude", "model", "param"),
    [
        ({"prefill": True, "profile": "agent"}, MODEL, "claude.prefill"),
        ({"prefill": True}, "claude-sonnet-4-6", None),
    ],
)
def test_no_prefill(gateway, claude, model, param):
    """For agents, and for models that cannot prefill, it is a 400."""
    status, _, body = ask(gateway, QUESTION, DEAR, claude=claude, model=model)
    assert (status, body["error"]["param"]) == (400, param)
    assert "prefill" in body["error"]["message"]


ODD: dict[str, list[Any]] = {
    "last from the assistant": [QUESTION, DEAR],
    "first from the assistant": [DEAR, QUESTION],
    "only a system message": [{"role": "system", "content": "[[say fine]]"}],
    "blank": [{"role": "user", "content": " "}],
    "a truncated call": [QUESTION, {**CALLED, "tool_calls": [call("c", "look", '{"a": "')]}],
    "a result without a call": [QUESTION, RESULTS[0]],
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("shape", ODD)
def test_adapted(gateway, upstream, shape, profile):
    """Messages that the API would refuse arrive in a valid form, and a header names them."""
    status, headers, body = ask(gateway, *ODD[shape], claude={"profile": profile})
    assert status == 200, body
    assert headers["x-adapted-messages"].startswith("messages.")
    assert len(upstream.requests) == 1


def test_no_content(gateway, upstream):
    """An agent's history keeps an answer that equals Claude Code's own mark for an empty one."""
    said = [QUESTION, {"role": "assistant", "content": "(no content)"}, QUESTION]
    status, _, body = ask(gateway, *said, claude={"profile": "agent"})
    assert status == 200, body
    roles = [
        (role, "".join(block["text"] for block in blocks)) for role, blocks in arrived(upstream)
    ]
    assert roles[1] == ("assistant", "(no content)")
