"""The page of keys: admins create, limit and revoke them, and nobody else sees it."""

from unittest.mock import Mock

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.key_files import add_keys
from tests.support.scripted_server import ScriptedServer
from wrapper.auth import key_editor
from wrapper.auth.key_file import KeyFile, KeysError
from wrapper.console.key_form import form_of, read, summary
from wrapper.errors import Unavailable
from wrapper.schemas.keys import CEILINGS
from wrapper.services import key_data
from wrapper.services.principal import Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.settings import Settings

KEYS, KEY, REVOKE, DELETE_DATA = (
    f"{HOME}/keys{path}" for path in ("", "/key", "/revoke", "/delete-data")
)
PATHS = [
    *[("GET", KEYS), ("POST", KEYS), ("GET", KEY), ("POST", KEY)],
    *[("POST", REVOKE), ("POST", DELETE_DATA)],
]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.toml"


@pytest.fixture
def keys(file):
    made = add_keys(file, "eve", "ann", admin="eve")
    file.write_text(f"# our callers\n{file.read_text()}")
    return made


@pytest.fixture
def server(file, keys):
    return ScriptedServer(api_keys_file=str(file))


@pytest.fixture
def eve(server, keys):
    person = ConsoleClient(server.app)
    person.sign_in(keys["eve"])
    return person


def holder(file, name):
    return {known.name: known for known in KeyFile(file).principals()}.get(name)


def new_key(page):
    return page.split("<code>sk-")[1].split("</code>")[0]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_admins_only(server, keys, file, method, path):
    """A caller who is no admin sees no key, and changes none."""
    before = file.read_text()
    ann = ConsoleClient(server.app)
    ann.sign_in(keys["ann"])
    assert f'href="{KEYS}"' not in ann.open().text
    page = ann.change(method, path, name="eve")
    assert page.status_code == 403
    assert "eve" not in page.text
    assert file.read_text() == before


def test_no_file():
    """Without a keys file, the page says how to make one."""
    page = ConsoleClient(ScriptedServer().app)
    assert "API_KEYS_FILE=keys.toml" in page.open(KEYS).text
    assert page.post(KEYS, name="bob").status_code == 400


def test_create(eve, server, file):
    """A new key is shown once, is valid at once, and the file's comments stay."""
    page = eve.post(KEYS, name="bob")
    secret = f"sk-{new_key(page.text)}"
    assert page.headers["Cache-Control"] == "no-store"
    assert server.ask({"x-api-key": secret}).status_code == 200
    assert secret not in eve.open(KEYS).text
    assert secret not in file.read_text()
    assert file.read_text().startswith("# our callers\n")


@pytest.mark.parametrize("name", ["", "ann", "local", "<script>alert(1)</script>", "sk-x", "a b"])
def test_wrong_names(eve, file, name):
    """A name that cannot be is refused with the reason, and shown as text."""
    before = file.read_text()
    page = eve.post(KEYS, name=name)
    assert page.status_code in (400, 409)
    assert 'class="mistake"' in page.text
    assert "<script>alert" not in page.text
    assert file.read_text() == before


def test_limits(eve, file):
    """Limits are shown, changed and removed, and others of the file stay as they are."""
    key_editor.configure(file, "ann", {"max_turns": 3})
    form = {
        "models": "haiku\n claude-* \n",
        "usd_per_day": "2.5",
        "max_turns": "7",
        "tools": "none",
    }
    assert eve.post(KEY, name="ann", **form).location == KEYS
    ann = holder(file, "ann")
    assert (ann.models, ann.usd_per_day, ann.max_turns) == (("haiku", "claude-*"), 2.5, 7)
    assert ann.tools == ()
    assert ann.config == ToolConfig(max_turns=3)
    page = eve.send("GET", KEY, query_string={"name": "ann"}).text
    assert 'value="2.5"' in page
    assert "haiku\nclaude-*</textarea>" in page
    assert eve.post(KEY, name="ann", usd_per_day="2.5").status_code == 303
    assert holder(file, "ann").models is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("usd_per_day", "-1"),
        ("usd_per_day", "much"),
        ("max_turns", "1.5"),
        ("max_turns", "0"),
        ("profile", "other"),
        ("tools", "Bsh"),
        ("allowed_tools", "Bash(*)"),
        ("permission_mode", "bypassPermissions"),
    ],
)
def test_wrong_limits(eve, file, field, value):
    """A wrong limit is named beside its field, with what was typed, and nothing changes."""
    before = file.read_text()
    page = eve.post(KEY, name="ann", **{field: value})
    assert page.status_code == 400
    assert 'class="mistake"' in page.text
    assert file.read_text() == before


def test_own_key(eve, file):
    """Nobody locks themselves out: one's own key stays, and stays an admin's."""
    assert eve.post(REVOKE, name="eve").status_code == 409
    assert eve.post(KEY, name="eve", usd_per_day="1").status_code == 400
    assert eve.post(KEY, name="eve", usd_per_day="1", admin="true").status_code == 303
    assert holder(file, "eve").admin


def test_revoke(eve, server, keys, file):
    """A revoked key is refused at once."""
    assert eve.post(REVOKE, name="ann").location == KEYS
    assert server.ask({"x-api-key": keys["ann"]}).status_code == 401
    assert eve.post(REVOKE, name="ann").status_code == 404


def test_without_token(eve, file):
    """Without a CSRF token no key is made or revoked."""
    before = file.read_text()
    for path in (KEYS, REVOKE, KEY):
        assert eve.send("POST", path, data={"name": "ann"}).status_code == 403
    assert file.read_text() == before


def test_file_cannot_be_changed(eve, monkeypatch):
    """Where the file cannot be written, the page says so, and not where it is."""

    def fail(*_):
        raise KeysError(["/secret/keys.toml cannot be changed"])

    monkeypatch.setattr(key_editor, "add", fail)
    page = eve.post(KEYS, name="bob")
    assert page.status_code == 503
    assert "/secret" not in page.text


FULL = Principal(
    "full",
    admin=True,
    models=("haiku",),
    profile="plain",
    tools=(),
    allowed_tools=("Read",),
    disallowed_tools=("Write",),
    mcp_servers=("docs",),
    permission_mode="acceptEdits",
    max_turns=3,
    requests_per_minute=60,
    tokens_per_minute=1000,
    concurrent_turns=2,
    usd_per_day=0.00001,
    usd_per_month=10.0,
    requires_user=True,
    user_requests_per_minute=6,
    user_tokens_per_minute=100,
    user_concurrent_turns=1,
    user_usd_per_day=0.5,
    user_usd_per_month=1.5,
)


def test_form_round_trip():
    """A form that is sent as it was shown changes nothing, whatever the limits."""
    sent = {field.name: field.text for field in form_of(FULL)}
    ceilings, mistakes = read(sent, "full", Settings())
    assert mistakes == {}
    expected = {name: getattr(FULL, name) for name in ceilings}
    assert {n: tuple(v) if isinstance(v, list) else v for n, v in ceilings.items()} == expected
    assert len(summary(FULL)) == len(ceilings) - 1


def test_form_has_every_ceiling():
    """The form has a field for each ceiling but the tool config, and webhooks with secrets."""
    hidden = ("config", "webhook_url", "webhook_secret")
    assert [field.name for field in form_of(FULL)] == [
        name for name in CEILINGS if name not in hidden
    ]


def test_delete_data(eve, server, keys, file, monkeypatch):
    """The data of a key is deleted, the page says how much, and the key is revoked if asked for."""
    monkeypatch.setattr(key_data, "QUIET_SECONDS", 0.0)
    ann = {"Authorization": f"Bearer {keys['ann']}"}
    body = {"input": "hello"}
    assert server.post(body, path="/v1/responses", headers=ann).status_code == 200
    assert DELETE_DATA in eve.send("GET", KEY, query_string={"name": "ann"}).text
    assert eve.send("POST", DELETE_DATA, data={"name": "ann"}).status_code == 403  # no CSRF token
    page = eve.post(DELETE_DATA, name="ann")
    assert "The data of ann" in page.text
    assert "1 responses" in page.text
    assert holder(file, "ann")
    page = eve.post(DELETE_DATA, name="ann", revoke="true")
    assert "0 responses" in page.text
    assert holder(file, "ann") is None
    assert eve.post(DELETE_DATA, name="a b").status_code == 400
    assert eve.post(DELETE_DATA, name="eve", revoke="true").status_code == 409


def test_data_that_is_left(eve, server, monkeypatch):
    """The page says what is not deleted, and why, as text."""
    monkeypatch.setattr(key_data, "QUIET_SECONDS", 0.0)

    def fail(owner):
        raise Unavailable("FILES_DIR: <it> is away.")

    stores = server.app.extensions["wrapper"].key_data._stores
    monkeypatch.setitem(stores, "files", fail)
    assert (
        "<li>files: FILES_DIR: &lt;it&gt; is away.</li>" in eve.post(DELETE_DATA, name="ann").text
    )


def test_delete_again(eve, server, file, monkeypatch):
    """What is left of a key that was revoked before is deleted by the page's next try."""
    monkeypatch.setattr(key_data, "QUIET_SECONDS", 0.0)
    stores = server.app.extensions["wrapper"].key_data._stores
    monkeypatch.setitem(stores, "files", Mock(side_effect=[Unavailable("It is away."), 1]))
    page = eve.post(DELETE_DATA, name="ann", revoke="true")
    assert holder(file, "ann") is None
    assert "Delete again" in page.text
    page = eve.post(DELETE_DATA, name="ann", revoke="true")
    assert (page.status_code, "1 files" in page.text) == (200, True)
    assert "Delete again" not in page.text
