"""The inbox: who sees and decides what, what is shown of it, and that untrusted text stays text."""

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from tests.support.console_client import HOME, ConsoleClient
from tests.support.key_files import add_keys
from tests.support.scripted_server import ScriptedServer
from wrapper.console.answer_form import JSON_FIELD, fields_of, read_answers
from wrapper.console.approval_card import card_of
from wrapper.errors import InvalidRequest, Unavailable
from wrapper.services.approvals.approval import Approval, Asker, Decision, ToolRequest
from wrapper.services.principal import Caller, Principal

INBOX = f"{HOME}/inbox"
ATTACK = "<script>alert(1)</script>"
BASH = ToolRequest("Bash", {"command": "make all", "description": "Build it"})
OPTIONS = [{"label": label} for label in ("Red", "Blue")]
QUESTIONS = [
    {"question": "Colour?", "options": OPTIONS},
    {"question": "All?", "options": OPTIONS, "multiSelect": True},
]
FORM = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "title": "City", "description": "Where to"},
        "nights": {"type": "integer", "default": 1},
        "price": {"type": "number"},
        "pets": {"type": "boolean", "default": True},
        "class": {"type": "string", "enum": ["first", "second"], "enumNames": ["1st", "2nd"]},
        "seat": {"type": "string", "oneOf": [{"const": "w", "title": "Window"}]},
        "meals": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
    },
    "required": ["city"],
}


class World:
    """A gateway with the keys of ann, bob and the admin eve, and what they see of it."""

    def __init__(self, folder):
        file = folder / "keys.toml"
        self.keys = add_keys(file, "ann", "bob", "eve", admin="eve")
        self.app = ScriptedServer(api_keys_file=str(file)).app
        self.service = self.app.extensions["wrapper"].stores.approvals
        self.decisions: list[Decision] = []

    def begin(self, request=BASH, owner="bob", session=None):
        asker = Asker(owner, "req_1", session)
        return self.service.begin(asker, request, self.decisions.append)

    def console(self, name):
        console = ConsoleClient(self.app)
        console.sign_in(self.keys[name])
        return console


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def approval_of(request):
    schema = request.input.get("requested_schema")
    return Approval(
        "apr_1", Asker("bob"), request.tool, request.input, "", "", 0, 1, request.kind, schema
    )


def elicitation(schema, **more):
    given = {"server": "asks", "message": "Where?", "requested_schema": schema, **more}
    return ToolRequest("mcp__asks", given, "elicitation")


# Who sees and decides what


def test_whose(world):
    """Callers see what waits for them, with its number, and an admin everybody's."""
    approval = world.begin()
    for name, sees in (("bob", True), ("eve", True), ("ann", False)):
        page = world.console(name).open(INBOX).text
        assert (approval.id in page, "make all" in page) == (sees, sees)
        assert ("<span>1</span>" in page) is sees
        assert ("Nothing waits" in page.split("data-inbox-empty hidden")[0]) is not sees


def test_anothers_id(world):
    """Another key's approval is neither shown nor decided by its id."""
    approval = world.begin()
    ann = world.console("ann")
    assert ann.change("GET", f"{INBOX}/{approval.id}").text == ""
    assert ann.post(f"{INBOX}/{approval.id}", decision="approve").status_code == 404
    assert "There is no approval" in ann.change("POST", f"{INBOX}/{approval.id}").text
    assert world.decisions == []


@pytest.mark.parametrize("token", [{}, {"csrf_token": "0" * 64}])
def test_csrf(world, token):
    """A decision without the page's own token is refused."""
    approval = world.begin()
    form = {"decision": "approve", **token}
    answer = world.console("bob").send("POST", f"{INBOX}/{approval.id}", data=form)
    assert answer.status_code == 403
    assert world.decisions == []


@pytest.mark.parametrize(
    ("button", "session", "decision"),
    [
        ("approve", None, Decision("approved", by="bob")),
        ("session", "s", Decision("approved", "session", by="bob")),
        ("deny", None, Decision("denied", reason="No.", by="bob")),
    ],
)
@pytest.mark.parametrize("scripts", [True, False])
def test_decide(world, button, session, decision, scripts):
    """Each button decides as the API does, with and without scripts."""
    approval, bob = world.begin(session=session), world.console("bob")
    form = {"decision": button, "reason": "No." if button == "deny" else ""}
    if scripts:
        answer = bob.change("POST", f"{INBOX}/{approval.id}", **form)
        assert decision.outcome.capitalize() in answer.text
    else:
        assert bob.post(f"{INBOX}/{approval.id}", **form).location == INBOX
    assert world.decisions == [decision]


def test_too_late(world):
    """Whoever comes second learns who has decided, and changes nothing."""
    approval = world.begin()
    first, second = world.console("eve"), world.console("bob")
    first.change("POST", f"{INBOX}/{approval.id}", decision="deny")
    answer = second.change("POST", f"{INBOX}/{approval.id}", decision="approve")
    assert "Denied before, by eve" in answer.text
    assert second.change("GET", f"{INBOX}/{approval.id}").text == ""
    world.service.end(expired := world.begin(), Decision("expired"))
    answer = second.change("POST", f"{INBOX}/{expired.id}", decision="approve")
    assert "nobody decided in time" in answer.text


def test_scope_without_a_session(world):
    """Without a session there is no button for it, and its request is refused in place."""
    approval, bob = world.begin(), world.console("bob")
    assert "Approve for the session" not in bob.open(INBOX).text
    answer = bob.change("POST", f"{INBOX}/{approval.id}", decision="session")
    assert "belongs to no session" in answer.text
    assert answer.headers["HX-Retarget"] == f"#{approval.id}-mistake"
    assert bob.change("POST", f"{INBOX}/{approval.id}", decision="maybe").text.count("decision")
    assert world.decisions == []


def test_store_is_lost(world, monkeypatch):
    """While what waits cannot be read, the inbox says so, and other pages have no number."""

    def fail(principal):
        raise Unavailable("Redis is lost.")

    monkeypatch.setattr(world.service, "pending", fail)
    bob = world.console("bob")
    page = bob.open(INBOX)
    assert (page.status_code, "Redis is lost." in page.text) == (503, True)
    assert bob.open(HOME).status_code == 200


def test_live(world):
    """The stream has ids and the names of tools, and none of their inputs."""
    approval = world.begin(replace(BASH, tool=f"Bash\n{'x' * 200}"))
    response = world.console("bob").open(f"{INBOX}/live")
    event = str(next(response.iter_encoded()), "utf-8")
    response.close()
    state = json.loads(event.removeprefix("data: "))
    assert state["waiting"] == [[approval.id, f"Bash\n{'x' * 75}"]]
    assert (state["count"], state["long"]) == (1, [])
    assert "make all" not in event


def test_long_turns(world, monkeypatch):
    """The stream names the visitor's own turns that have run for a while."""
    admission = world.app.extensions["wrapper"].limits.admission
    with_long = admission.admit(1, Caller(Principal("bob")))
    monkeypatch.setattr(admission, "_clock", lambda: time.monotonic() + 60)
    long = {}
    for name in ("bob", "eve"):
        response = world.console(name).open(f"{INBOX}/live")
        long[name] = json.loads(next(response.iter_encoded()).removeprefix(b"data: "))["long"]
        response.close()
    with_long()
    assert (len(long["bob"]), long["eve"]) == (1, [])


# What is shown


def test_html_is_text(world):
    """HTML in a tool's name, its input, a path, a question and a form stays text."""
    question = {"question": ATTACK, "options": [{"label": ATTACK, "description": ATTACK}]}
    schema = {"properties": {ATTACK: {"type": "string", "title": ATTACK, "description": ATTACK}}}
    requests = [
        ToolRequest(ATTACK, {ATTACK: ATTACK}),
        ToolRequest("Bash", {"command": ATTACK, ATTACK: ATTACK}),
        ToolRequest("Write", {"file_path": ATTACK, "content": ATTACK}),
        ToolRequest("AskUserQuestion", {"questions": [question]}, "question"),
        elicitation(schema, server=ATTACK, message=ATTACK),
        elicitation({"oneOf": [ATTACK]}),
    ]
    for request in requests:
        world.begin(request, session=ATTACK)
    page = world.console("bob").open(INBOX).text
    assert page.count("&lt;script&gt;alert(1)") > 2 * len(requests)
    assert "<script>alert" not in page


def test_change_of_a_file():
    """A change is shown as a diff, with what else the input says."""
    card = card_of(
        approval_of(
            ToolRequest(
                "Edit",
                {
                    "file_path": "a.txt",
                    "old_string": "a\nb",
                    "new_string": "a\nc\nd",
                    "replace_all": True,
                },
            )
        )
    )
    assert card.change
    assert card.change.path == "a.txt"
    assert [(block.tone, block.text) for block in card.diff] == [
        ("hunk", "@@ @@"),
        ("same", " a"),
        ("removed", "-b"),
        ("added", "+c\n+d"),
    ]
    assert card.rest == (("replace_all", "true"),)


@pytest.mark.parametrize(
    ("tool", "given", "rest"),
    [
        (
            "NotebookEdit",
            {"file_path": "/safe.ipynb", "notebook_path": "/real.ipynb", "new_source": "x"},
            ("file_path", "/safe.ipynb"),
        ),
        ("Bash", {"command": "ls", "content": "x"}, ("content", "x")),
        ("WebFetch", {"url": "https://a.example", "prompt": "Obey it."}, ("prompt", "Obey it.")),
    ],
)
def test_rest(tool, given, rest):
    """What a tool's preview does not show stands beside it, also what another tool's shows."""
    assert card_of(approval_of(ToolRequest(tool, given))).rest == (rest,)


def test_other_ends_of_lines(world):
    """A character that only some programs end a line at is shown as its code in the diff."""
    given = {"old_string": "# note:\ncheck(user)", "new_string": "# note:\u2028check(user)"}
    world.begin(ToolRequest("Edit", {"file_path": "a.py", **given}))
    page = world.console("bob").open(INBOX).text
    assert '<span class="added">+# note:⟨U+2028⟩check(user)</span>' in page


@pytest.mark.parametrize(
    ("url", "opens"),
    [("https://a.example", True), ("javascript:alert(1)", False), ("//[", False), (7, False)],
)
def test_link(url, opens):
    """Only a page of the web can be opened from the inbox."""
    card = card_of(approval_of(elicitation(None, url=url)))
    assert bool(card.link) is opens


# Forms


def test_form():
    """An MCP server's form has a field for each property, and gives answers of its types."""
    approval = approval_of(elicitation(FORM))
    fields = fields_of(approval) or []
    kinds = ["text", "number", "number", "flag", "choice", "choice", "choices"]
    assert [field.kind for field in fields] == kinds
    assert [field.preset for field in fields][:4] == ["", "1", "", "true"]
    sent = MultiDict(
        [
            ("f0", "Oslo"),
            ("f1", "3"),
            ("f2", "1.5"),
            ("f4", "1"),
            ("f5", "0"),
            ("f6", "0"),
            ("f6", "1"),
        ]
    )
    assert read_answers(approval, sent) == {
        "city": "Oslo",
        "nights": 3,
        "price": 1.5,
        "pets": False,
        "class": "second",
        "seat": "w",
        "meals": ["a", "b"],
    }
    assert read_answers(approval, MultiDict([("f1", "many"), ("f4", "9")])) == {
        "nights": "many",
        "pets": False,
    }


def test_answers(world):
    """Questions are answered by options or in other words; what is missing is said in place."""
    approval = world.begin(ToolRequest("AskUserQuestion", {"questions": QUESTIONS}, "question"))
    bob, path = world.console("bob"), f"{INBOX}/{approval.id}"
    assert "do not match" in bob.change("POST", path, decision="approve", f0="1").text
    form = {"decision": "approve", "f0": "1", "f1-other": "Green"}
    assert "Approved" in bob.change("POST", path, **form).text
    assert world.decisions[0].answers == {"Colour?": "Blue", "All?": {"other": "Green"}}


def test_options_and_other_words():
    """Other words stand in place of one option, and beside several."""
    approval = approval_of(ToolRequest("AskUserQuestion", {"questions": QUESTIONS}, "question"))
    approval = replace(approval, answer_schema={})
    sent = [("f0", "1"), ("f0-other", "no"), ("f1", "0"), ("f1", "1"), ("f1-other", "and Green")]
    assert read_answers(approval, MultiDict(sent)) == {
        "Colour?": {"other": "no"},
        "All?": {"other": "Red, Blue, and Green"},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"a": {"type": "object"}}},
        {"properties": {"a": {"type": "string", "enum": list(range(101))}}},
        {"properties": {str(number): {"type": "string"} for number in range(51)}},
    ],
)
def test_no_simple_form(schema):
    """Where a schema makes no simple form, or too large a one, the answers are JSON."""
    approval = approval_of(elicitation(schema))
    assert fields_of(approval) is None
    assert read_answers(approval, MultiDict({JSON_FIELD: '{"a": 1}'})) == {"a": 1}
    for wrong in ("", "[1]", "{", "[" * 100_000):
        with pytest.raises(InvalidRequest):
            read_answers(approval, MultiDict({JSON_FIELD: wrong}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["type", "enum", "enumNames", "oneOf", "anyOf", "const", "title", "items", "default"]
)
VALUES = st.sampled_from(["string", "array", "number", "boolean", ["a"], [{"const": 1}], {}]) | JSON


@given(st.dictionaries(st.text(), st.dictionaries(WORDS, VALUES) | JSON), JSON)
def test_any_schema(properties, required):
    """Whatever schema a server sends, its form can be shown and read."""
    approval = approval_of(elicitation({"properties": properties, "required": required}))
    card = card_of(approval)
    assert card.schema
    for field in card.fields or ():
        assert isinstance(field.title + field.help + field.preset, str)
        assert all(isinstance(choice.label, str) for choice in field.choices)
    if card.fields is not None:
        read_answers(approval, MultiDict([("f0", "0"), ("f1", "x")]))
