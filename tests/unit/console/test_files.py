"""The page of files: their owner downloads and deletes them; nobody else but admins."""

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.console_team import console_team
from tests.support.scripted_server import ScriptedServer

FILES = f"{HOME}/files"
DELETE = f"{FILES}/delete"
ATTACK = "<img src=x onerror=alert(1)>.jsonl"


@pytest.fixture
def team(tmp_path):
    with console_team(tmp_path, files_max_bytes=1024**2, file_max_bytes=1024**2) as team:
        yield team


@pytest.fixture
def ann(team):
    return team.people["ann"]


def test_first_step(tmp_path):
    """Without files, the page says how to upload one."""
    app = ScriptedServer(files_dir=str(tmp_path)).app
    page = ConsoleClient(app).open(FILES).text
    assert "There are no files yet" in page
    assert "/v1/files" in page


def test_list(team, ann):
    """The list has each file's size, purpose and expiry, and the room that is taken."""
    id_ = team.upload("ann", "x" * 2000)
    page = ann.open(FILES).text
    assert all(text in page for text in (id_, "a.jsonl", "2.1 KiB", ">batch</td>"))
    assert "6.1 KiB <small>of 1.0 MiB" in page
    assert "1 <small>of 10,000" in page


def test_names_are_texts(team, ann):
    """A file's name is shown letter for letter, and stands in no header of a download."""
    id_ = team.upload("ann", "x", filename=ATTACK)
    page = ann.open(FILES).text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    answer = ann.download(f"{FILES}/content?id={id_}")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{id_}.jsonl"'
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert b'"content": "x"' in answer.data


def test_search(team, ann, monkeypatch):
    """The search finds a part of the name or the id; long lists have pages."""
    ids = [team.upload("ann", "x", filename=name) for name in ("one", "two")]
    page = ann.open(f"{FILES}?q=ONE").text
    assert ids[0] in page
    assert ids[1] not in page
    assert ids[1] in ann.open(f"{FILES}?q={ids[1][5:12]}").text
    part = ann.open(f"{FILES}?q=none", **{"HX-Request": "true"}).text
    assert "Nothing found" in part
    assert "<html" not in part
    monkeypatch.setattr("wrapper.console.pages.files.MOST", 1)
    assert ids[0] not in ann.open(FILES).text
    assert ids[0] in ann.open(f"{FILES}?first=1").text


def test_delete(team, ann):
    """A file is deleted with or without scripts, and only with a CSRF token."""
    first, second = (team.upload("ann", "x") for _ in range(2))
    assert ann.send("POST", DELETE, data={"id": first}).status_code == 403
    assert ann.change("POST", DELETE, id=first).text == ""
    assert ann.post(DELETE, id=second).location == FILES
    assert "There are no files yet" in ann.open(FILES).text
    again = ann.change("POST", DELETE, id=first)
    assert again.status_code == 404
    assert "No such file" in again.text


def test_all_keys(team):
    """An admin sees the newest files of all keys, each with a link that names its key."""
    ids = {name: team.upload(name, "x", filename=f"of-{name}") for name in ("ann", "bob", "eve")}
    eve = team.people["eve"]
    page = eve.open(FILES).text
    places = [page.index(f">{ids[name]}</p>") for name in ("eve", "bob", "ann")]
    assert places == sorted(places)
    assert f"id={ids['ann']}&amp;key=ann" in page
    assert f"id={ids['eve']}&amp;key" not in page
    assert "Taken" not in page
    assert ids["bob"] in eve.open(f"{FILES}?q=of-bob").text
    assert "Nothing found" in eve.open(f"{FILES}?q=none").text
    assert ids["bob"] not in team.people["ann"].open(FILES).text


def test_owner(team, ann):
    """To another key a file does not exist; an admin lists, reads and deletes it by the key."""
    id_ = team.upload("bob", "x")
    eve = team.people["eve"]
    assert id_ not in ann.open(FILES).text
    for person in (ann, eve):
        assert person.open(f"{FILES}/content?id={id_}").status_code == 404
        assert person.change("POST", DELETE, id=id_).status_code == 404
    assert ann.change("POST", DELETE, id=id_, key="bob").status_code == 403
    page = eve.open(f"{FILES}?key=bob").text
    assert f"id={id_}&amp;key=bob" in page
    assert "Taken by bob" in page
    assert eve.download(f"{FILES}/content?id={id_}&key=bob").status_code == 200
    assert eve.change("POST", DELETE, id=id_, key="bob").status_code == 200
    assert id_ not in team.people["bob"].open(FILES).text
