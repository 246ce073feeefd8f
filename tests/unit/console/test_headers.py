"""What a browser may do with the console's pages."""

import re

import pytest

from tests.support.console_client import HOME, SIGN_IN, ConsoleClient
from tests.support.scripted_server import ScriptedServer
from wrapper.console import live
from wrapper.console.headers import PAGE_HEADERS
from wrapper.console.static_files import FOLDER

KEY = "sk-right"
TRIGGER = re.compile(r'hx-trigger="([^"]*)"')
PATHS = [HOME, SIGN_IN, f"{HOME}/nothing"]
FILES = sorted(path for path in FOLDER.rglob("*.*") if path.is_file())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_pages(path, settings):
    """Every page and redirect forbids framing, sniffing, caching and foreign or inline code."""
    page = ConsoleClient(ScriptedServer(**settings).app).open(path)
    for name, value in PAGE_HEADERS.items():
        assert page.headers.getlist(name) == [value]
    assert page.headers.getlist("Cache-Control") == ["no-store"]


def test_policy():
    """The policy allows nothing inline, no eval, and nothing of another origin."""
    policy = PAGE_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_no_inline_code():
    """The templates have no inline script, style or handler, which the policy would stop."""
    for path in (FOLDER.parent / "templates").rglob("*.html"):
        text = path.read_text()
        assert "<style" not in text, path
        assert " style=" not in text, path
        assert " on" not in [
            text[i : i + 3] for i in range(len(text)) if text[i + 3 : i + 4] == "="
        ]
        assert all("src=" in tag for tag in text.split("<script")[1:]), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files(path):
    """Scripts and styles need no key, may be kept, and cannot become pages."""
    server = ScriptedServer(api_key=KEY)
    file = server.client.get(f"{HOME}/static/{path.relative_to(FOLDER)}")
    assert file.status_code == 200
    assert "max-age" in file.headers["Cache-Control"]
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in file.headers["Content-Security-Policy"]
    file.close()


@pytest.mark.parametrize(
    "name", ["nothing.js", "../blueprint.py", "%2e%2e/blueprint.py", "..\\page.py"]
)
def test_no_other_files(name):
    """Nothing but the files of the folder is served."""
    assert ScriptedServer().client.get(f"{HOME}/static/{name}").status_code == 404


def test_licences():
    """Each vendored library has its licence beside it, and its version in the list."""
    listed = (FOLDER / "vendor" / "README.md").read_text()
    for folder in (FOLDER / "vendor").iterdir():
        if folder.is_dir():
            assert (folder / "LICENSE").stat().st_size > 500
            assert f"| {folder.name} |" in listed


def test_no_polling():
    """No page asks again by itself: live parts come as events, every 2 seconds at most."""
    pages = (FOLDER.parent / "templates").rglob("*.html")
    assert not any("every " in each for page in pages for each in TRIGGER.findall(page.read_text()))
    scripts = [path for path in FILES if path.suffix == ".js" and "vendor" not in path.parts]
    # It counts down what it has.
    assert [path.name for path in scripts if "setInterval" in path.read_text()] == ["inbox.js"]
    assert live.SECONDS >= 2
