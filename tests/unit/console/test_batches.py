"""The page of batches: their owner follows, reads and cancels them; nobody else but admins."""

import io
import json

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.console_team import console_team
from tests.support.scripted_server import ScriptedServer
from tests.support.server import eventually

BATCHES, FILES = f"{HOME}/batches", f"{HOME}/files"
ATTACK = "<script>alert(1)</script>"
LONG_ENOUGH = ("completed", "failed")


@pytest.fixture
def team(tmp_path):
    with console_team(tmp_path) as team:
        yield team


@pytest.fixture
def ann(team):
    return team.people["ann"]


def read(person, id_, **query):
    page = person.send("GET", f"{BATCHES}/batch", query_string={"id": id_, **query})
    return page.status_code, page.text


def done(team, name, *texts, **fields):
    """Return a batch that has completed."""
    id_ = team.batch(name, *texts, **fields)
    return team.wait(name, f"/v1/batches/{id_}", "completed")


def test_first_step():
    """Without batches, the page says how to begin one, with a key where one is needed."""
    page = ConsoleClient(ScriptedServer().app).open(BATCHES).text
    assert "There are no batches yet" in page
    assert "/v1/batches" in page
    assert "YOUR_KEY" not in page


def test_list(team, ann):
    """The list has each batch's state, progress and results, and leads to its page."""
    batch = done(team, "ann", "one", "two")
    page = ann.open(BATCHES).text
    assert f'href="{BATCHES}/batch?id={batch["id"]}"' in page
    assert "2 of 2" in page
    assert f"{FILES}/content?id={batch['output_file_id']}" in page
    assert ">Cancel</button>" not in page
    output = ann.download(f"{FILES}/content?id={batch['output_file_id']}")
    assert [json.loads(line)["response"]["status_code"] for line in output.data.splitlines()] == [
        200,
        200,
    ]


def test_search(team, ann):
    """The search finds a part of the id; htmx gets the list alone, which follows the search."""
    ids = [team.batch("ann", "one") for _ in range(2)]
    page = ann.send("GET", BATCHES, query_string={"q": ids[0][-8:].upper()}).text
    assert ids[0] in page
    assert ids[1] not in page
    assert f"{BATCHES}/live?q={ids[0][-8:].upper()}" in page
    htmx = {"HX-Request": "true"}
    part = ann.send("GET", BATCHES, query_string={"q": "none"}, headers=htmx).text
    assert "Nothing found" in part
    assert "<html" not in part


def test_pages(team, ann, monkeypatch):
    """A long list has several pages, the newest batches on the first one."""
    monkeypatch.setattr("wrapper.console.pages.batches.MOST", 1)
    ids = [team.batch("ann", "one") for _ in range(2)]
    first, second = (ann.open(f"{BATCHES}?first={at}").text for at in (0, 1))
    assert ids[1] in first
    assert ids[0] not in first
    assert ids[0] in second


def test_one(team, ann):
    """A batch's page has its state, its files, and its metadata as text."""
    batch = done(team, "ann", "one", metadata={ATTACK: ATTACK, "run": "a\u202eb"})
    status, page = read(ann, batch["id"])
    assert status == 200
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert ATTACK not in page
    assert "a⟨U+202E⟩b" in page
    for name in ("input", "output"):
        assert batch[f"{name}_file_id"] in page
    assert "Left of its" not in page


def test_errors(team, ann):
    """A batch that fails says why, and its lines' errors can be downloaded."""
    data = {"purpose": "batch", "file": (io.BytesIO(b'{"a": "<script>"}\n[]'), "a.jsonl")}
    headers = {"x-api-key": team.keys["ann"]}
    file_id = team.server.client.post("/v1/files", data=data, headers=headers).json["id"]
    body = {"endpoint": "/v1/responses", "completion_window": "24h", "input_file_id": file_id}
    id_ = team.send("ann", "/v1/batches", body)["id"]
    batch = team.wait("ann", f"/v1/batches/{id_}", *LONG_ENOUGH)
    _, page = read(ann, id_)
    assert "2 failed" in page
    assert f"{FILES}/content?id={batch['error_file_id']}" in page


def test_cancel(team, ann):
    """A batch is cancelled where it stands, with or without scripts; then there is no button."""
    for on_page in (True, False):
        id_ = team.batch("ann", "long")
        team.wait("ann", f"/v1/batches/{id_}", "in_progress")
        assert f'value="{id_}"' in ann.open(BATCHES).text
        assert " left" in ann.open(BATCHES).text
        if on_page:
            part = ann.change("POST", f"{BATCHES}/cancel", id=id_).text
            assert "<html" not in part
            assert "cancel" in part
        else:
            answer = ann.post(f"{BATCHES}/cancel", id=id_)
            assert answer.location == f"{BATCHES}/batch?id={id_}"
        team.wait("ann", f"/v1/batches/{id_}", "cancelled")
        assert ">Cancel</button>" not in read(ann, id_)[1]
    part = ann.change("POST", f"{BATCHES}/cancel", id=id_, list="1").text
    assert id_ in part
    assert "All batches" not in part


def test_cancel_what_has_ended(team, ann):
    """A batch that has completed cannot be cancelled, which is a notice in the page."""
    batch = done(team, "ann", "one")
    answer = ann.change("POST", f"{BATCHES}/cancel", id=batch["id"])
    assert answer.status_code == 409
    assert "Cannot cancel a batch" in answer.text


def test_cancel_needs_a_token(team, ann):
    """Without a CSRF token, or with another's, nothing is cancelled."""
    id_ = team.batch("ann", "long")
    team.wait("ann", f"/v1/batches/{id_}", "in_progress")
    forged = team.people["bob"].csrf_token()
    for form in ({"id": id_}, {"id": id_, "csrf_token": forged}):
        assert ann.send("POST", f"{BATCHES}/cancel", data=form).status_code == 403
    assert team.wait("ann", f"/v1/batches/{id_}", "in_progress")["cancelling_at"] is None


def test_owner(team, ann):
    """To another key a batch and its files do not exist, by their ids neither."""
    batch = done(team, "bob", "one")
    id_, file_id = batch["id"], batch["output_file_id"]
    assert id_ not in ann.open(BATCHES).text
    assert read(ann, id_)[0] == 404
    assert ann.open(f"{BATCHES}/batch/live?id={id_}").data == b""
    assert ann.change("POST", f"{BATCHES}/cancel", id=id_).status_code == 404
    assert ann.open(f"{FILES}/content?id={file_id}").status_code == 404
    for key in ("bob", "eve", "nobody", "*"):
        for path in (f"{BATCHES}?key={key}", f"{FILES}?key={key}"):
            answer = ann.open(path)
            assert answer.status_code == 403
            assert "an admin&#39;s key may" in answer.text
        assert read(ann, id_, key=key)[0] == 403
        assert ann.open(f"{FILES}/content?id={file_id}&key={key}").status_code == 403
        assert ann.change("POST", f"{BATCHES}/cancel", id=id_, key=key).status_code == 403


def test_admin(team):
    """An admin lists, filters, reads and cancels the batches of other keys."""
    eve = team.people["eve"]
    id_ = team.batch("bob", "long")
    team.wait("bob", f"/v1/batches/{id_}", "in_progress")
    for query in ({}, {"key": "bob"}, {"q": id_[-5:]}):
        page = eve.send("GET", BATCHES, query_string=query).text
        assert ">bob</td>" in page
        assert f"id={id_}&amp;key=bob" in page
    page = eve.send("GET", BATCHES, query_string={"key": "<b>x</b>"}).text
    assert "Nothing found" in page
    assert "<b>x" not in page
    assert read(eve, id_)[0] == 404
    assert 'name="key" value="bob"' in read(eve, id_, key="bob")[1]
    assert eve.change("POST", f"{BATCHES}/cancel", id=id_, key="bob").status_code == 200
    team.wait("bob", f"/v1/batches/{id_}", "cancelled")


@pytest.mark.parametrize("id_", ["", "none", "..", "x" * 300, "\x00", "resp_1"])
def test_no_such_batch(ann, id_):
    """A page says that there is no such batch."""
    status, page = read(ann, id_)
    assert status == 404
    assert "No such batch" in page


def test_paused(team, ann):
    """A batch that waits for its key's budget says so, and why."""
    id_ = team.batch("ann", "long")
    team.wait("ann", f"/v1/batches/{id_}", "in_progress")
    paused = {"reason": "insufficient_quota", "message": "It is <b>used up</b>.", "since": 1}
    team.gateway.work.batches._store.change(id_, {"paused": paused})
    assert "paused: the budget is used up" in ann.open(BATCHES).text
    _, page = read(ann, id_)
    assert "It is &lt;b&gt;used up&lt;/b&gt;." in page


def test_live(team, ann, monkeypatch):
    """The open list and the open batch follow the progress by themselves."""
    monkeypatch.setattr("wrapper.console.live.SECONDS", 0)
    id_ = team.batch("ann", "long")
    team.wait("ann", f"/v1/batches/{id_}", "in_progress")
    for path in (f"{BATCHES}/live", f"{BATCHES}/batch/live?id={id_}"):
        response = ann.open(path)
        assert response.mimetype == "text/event-stream"
        assert b"in progress" in next(iter(response.response))
        response.close()
    response = ann.open(f"{BATCHES}/live")
    events = iter(response.response)
    next(events)
    ann.change("POST", f"{BATCHES}/cancel", id=id_)
    assert eventually(lambda: b"cancelled" in next(events))
    response.close()
