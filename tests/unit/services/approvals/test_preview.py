"""What an approval shows of a tool request, and what it covers for a session."""

import json
import time

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from wrapper.services.approvals.approval import Approval, Asker, ToolRequest
from wrapper.services.approvals.codec import decode_approval, encode_approval
from wrapper.services.approvals.preview import (
    DEEPEST_INPUT,
    LONGEST_INPUT,
    is_too_large,
    preview,
    session_rule,
)


@pytest.mark.parametrize(
    ("tool", "given", "shown"),
    [
        ("Bash", {"command": "rm -rf .", "description": "harmless"}, "rm -rf ."),
        ("Bash", {"command": 5}, "5"),
        ("WebFetch", {"url": "https://a.example/x", "prompt": "p"}, "https://a.example/x"),
        ("Write", {"file_path": "a", "content": "x\ny"}, "--- a\n+++ a\n@@ @@\n+x\n+y\n"),
        (
            "Edit",
            {
                "file_path": "a",
                "old_string": "1\n2\n3\n4\n5\nsix",
                "new_string": "1\n2\n3\n4\n5\n6",
            },
            "--- a\n+++ a\n@@ @@\n 3\n 4\n 5\n-six\n+6\n",
        ),
        (
            "Edit",
            {"file_path": "a", "old_string": "x\nend", "new_string": "y\nend"},
            "--- a\n+++ a\n@@ @@\n-x\n+y\n end\n",
        ),
        (
            "MultiEdit",
            {"file_path": "a", "edits": [{"old_string": "b", "new_string": "c"}, "odd"]},
            "--- a\n+++ a\n@@ @@\n-b\n+c\n",
        ),
        (
            "Edit",
            {"file_path": "a", "old_string": "b", "new_string": "b\n"},
            "--- a\n+++ a\n@@ @@\n-b\n\\ No newline at end of file\n+b\n",
        ),
        (
            "NotebookEdit",
            {"file_path": "f", "notebook_path": "n", "new_source": "s"},
            "--- n\n+++ n\n@@ @@\n+s\n",
        ),
        ("mcp__a__b", {"text": "ü"}, '{\n  "text": "ü"\n}'),
    ],
)
def test_preview(tool, given, shown):
    """A command is shown as it is, a change of a file as a diff, anything else as JSON."""
    assert preview(ToolRequest(tool, given)) == shown


TEXTS = st.text("a\n\r\x85\u2028", max_size=3)


@any_of(TEXTS, TEXTS)
def test_any_change(old, new):
    """Texts that differ in whatever character have a line that is removed or added."""
    given = {"file_path": "a", "old_string": old, "new_string": new}
    lines = preview(ToolRequest("Edit", given)).split("\n")[3:]
    assert any(line[:1] in ("+", "-") for line in lines if line) is (old != new)


def test_costly_texts():
    """A diff takes linear time, whatever the texts are."""
    old, new = "a\nb\n" * 8000, "b\na\n" * 8000
    began = time.process_time()
    preview(ToolRequest("Edit", {"file_path": "a", "old_string": old, "new_string": new}))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_too_deep(begin, end):
    """A request is too large, too, if it has more levels than the limit; fewer can be stored."""

    def nested(levels):
        return ToolRequest("mcp__a__b", {"a": json.loads(begin * levels + "1" + end * levels)})

    assert is_too_large(nested(DEEPEST_INPUT))
    request = nested(DEEPEST_INPUT - 1)
    assert not is_too_large(request)
    approval = Approval("apr_1", Asker("a"), "t", request.input, preview(request), "", 0, 1)
    assert decode_approval(encode_approval(approval)) == approval


def test_too_large():
    """A request is too large to be shown if its input as JSON is longer than the limit."""
    assert is_too_large(ToolRequest("Write", {"content": "x" * LONGEST_INPUT}))
    assert not is_too_large(ToolRequest("Write", {"content": "x" * (LONGEST_INPUT - 100)}))


@pytest.mark.parametrize(
    ("tool", "given", "rule"),
    [
        ("Bash", {"command": "npm test"}, "Bash(npm test)"),
        ("WebFetch", {"url": "https://A.example:8443/x?y"}, "WebFetch(domain:a.example)"),
        ("WebFetch", {"url": "http://[broken"}, "WebFetch(http://[broken)"),
        ("WebFetch", {"url": "https://a.example#part"}, "WebFetch(domain:a.example)"),
        ("WebFetch", {"url": "a.example"}, "WebFetch(a.example)"),
        *(
            ("WebFetch", {"url": url}, f"WebFetch({url})")
            for url in (
                "https://evil.example\\@a.example/?d=SECRET",
                "https://evil.example;@a.example/",
                "https://me@a.example/",
                "https://a.example\t.evil.example/",
            )
        ),
        ("Write", {"file_path": "a"}, "Write"),
        ("mcp__a__b", {}, "mcp__a__b"),
    ],
)
def test_session_rule(tool, given, rule):
    """For a session, the same command, the same clear host, or another tool's use is covered."""
    assert session_rule(ToolRequest(tool, given)) == rule
