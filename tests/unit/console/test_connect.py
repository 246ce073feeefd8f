"""The page that connects clients: snippets with the address and a model, and keys only once."""

import html
import re

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.console_team import console_team
from tests.support.key_files import add_keys
from tests.support.scripted_server import ScriptedServer
from tests.support.snippets import RUN_BY_CLIENTS, RUN_LIVE
from wrapper.console.snippets import CLIENTS, FOLDER

CONNECT, KEYS = f"{HOME}/connect", f"{HOME}/keys"


@pytest.fixture
def open_console(tmp_path):
    """Return a function that opens the console of a gateway; with a key it has a keys file."""
    servers = []

    def open_console(keyed=False):
        file = tmp_path / "keys.toml"
        settings = {"usage_db": str(tmp_path / "usage.db")}
        if keyed:
            keys = add_keys(file, "eve", admin="eve")
            settings["api_keys_file"] = str(file)
        servers.append(ScriptedServer(**settings))
        person = ConsoleClient(servers[-1].app)
        if keyed:
            person.sign_in(keys["eve"])
        return person

    yield open_console
    for server in servers:
        server.app.extensions["wrapper"].close()


def codes(page):
    return [html.unescape(code) for code in re.findall(r"<code>([^<]*)</code>", page)]


def test_every_snippet_is_run():
    """Each snippet belongs to one client, and a test runs it."""
    files = {path.name.removesuffix(".txt") for path in FOLDER.iterdir()}
    assert {step.file for client in CLIENTS for step in client.steps} == files
    assert RUN_LIVE | RUN_BY_CLIENTS.keys() == files


@pytest.mark.parametrize("client", [client.name for client in CLIENTS])
def test_snippet(open_console, client):
    """A snippet has the gateway's address, a model that it has, and nothing left to replace."""
    page = open_console().open(f"{CONNECT}?client={client}").text
    text = "\n".join(codes(page))
    assert "http://localhost" in text
    assert "unused" in text
    assert "{{" not in text
    assert "YOUR_KEY" not in page


def test_key_is_to_be_filled_in(open_console):
    """Where a key is needed, the snippet has a placeholder, which the page fills in by itself."""
    page = open_console(keyed=True).open(CONNECT).text
    assert 'data-fills="YOUR_KEY"' in page
    assert '"Authorization: Bearer YOUR_KEY"' in "\n".join(codes(page))
    field = page[page.index('id="key"') - 20 : page.index('data-fills="YOUR_KEY"')]
    assert "name=" not in field  # so that no form sends it


def test_models_of_the_key(tmp_path):
    """The snippets offer the models that the visitor's key may use, and no other."""
    with console_team(tmp_path, limits={"ann": {"models": ["haiku"]}}) as team:
        page = team.people["ann"].open(CONNECT).text
    options = re.findall("<option[^>]*>([^<]*)</option>", page)
    assert options
    assert all("haiku" in option for option in options)
    assert "haiku" in codes(page)[0]


@pytest.mark.parametrize("query", ["client=none", "model=none", "client=<b>&model=<b>"])
def test_unknown(open_console, query):
    """An unknown client or model is the first one."""
    page = open_console().open(f"{CONNECT}?{query}").text
    assert "curl http://localhost" in "\n".join(codes(page))
    assert "<b>none" not in page


@pytest.mark.parametrize("host", ['x";rm -rf /;"', "$(id)", "a b", "`id`"])
def test_odd_host(open_console, host):
    """A host that a shell would run does not get into a snippet."""
    console = open_console()
    page = console.send("GET", CONNECT, headers={"Host": host, "Accept": "text/html"})
    assert host not in "\n".join(codes(page.text))


def test_new_key(open_console):
    """A new key is in the snippets of the page that shows it, this once."""
    eve = open_console(keyed=True)
    page = eve.post(KEYS, name="carol").text
    (secret,) = set(re.findall(r"sk-[\w-]{20,}", page))
    texts = codes(page)
    assert texts[0] == secret
    assert sum(secret in text for text in texts) == 1 + len(CLIENTS)
    for path in (CONNECT, KEYS):
        assert secret not in eve.open(path).text
