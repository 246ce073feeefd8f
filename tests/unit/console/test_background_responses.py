"""Responses in the background on their page: seen while they run, cancelled and deleted."""

import pytest

from tests.support.console_client import HOME
from tests.support.console_team import console_team
from tests.support.server import eventually

RESPONSES = f"{HOME}/responses"
CANCEL, DELETE = f"{RESPONSES}/cancel", f"{RESPONSES}/delete"
ATTACK = "long <script>alert(1)</script>"


@pytest.fixture
def team(tmp_path):
    with console_team(tmp_path) as team:
        yield team


@pytest.fixture
def ann(team):
    return team.people["ann"]


def begin(team, name, text="long"):
    """Return the id of a response that runs, and whose first words are written."""
    id_ = team.respond(name, text)
    path, headers = f"/v1/responses/{id_}", {"x-api-key": team.keys[name]}
    assert eventually(
        lambda: "Hello." in team.server.client.get(path, headers=headers).get_data(as_text=True)
    )
    return id_


def read(person, id_, **query):
    page = person.send("GET", f"{RESPONSES}/response", query_string={"id": id_, **query})
    return page.status_code, page.text


def test_list(team, ann):
    """A response that runs is listed with its state; one that has ended is stored, too."""
    ended, running = team.respond("ann", "Hi"), begin(team, "ann")
    team.wait("ann", f"/v1/responses/{ended}", "completed")
    page = ann.open(RESPONSES).text
    assert "In the background" in page
    assert page.index(running) < page.index("in progress") < page.index("Stored")
    assert ended in page.partition("Stored")[2]
    assert f'name="id" value="{running}"' in page


def test_nothing_in_the_background(team, ann):
    """Without responses in the background the page does not speak of them."""
    assert "In the background" not in ann.open(RESPONSES).text


def test_bounded_list(team, ann, monkeypatch):
    """The newest are shown, and the search finds the others."""
    monkeypatch.setattr("wrapper.console.pages.responses.MOST_RUNNING", 1)
    first, second = begin(team, "ann"), begin(team, "ann")
    page = ann.open(RESPONSES).text
    assert second in page
    assert first not in page
    assert "newest 1 of 2" in page
    assert first in ann.open(f"{RESPONSES}?q={first[5:]}").text


def test_output_so_far(team, ann):
    """The page of a response that runs has its input, and its output so far, as text."""
    id_ = begin(team, "ann", ATTACK)
    status, page = read(ann, id_)
    assert status == 200
    assert page.index("&lt;script&gt;alert(1)") < page.index("Hello.")
    assert ATTACK not in page
    assert f"{RESPONSES}/response/live?id={id_}" in page
    assert ">Cancel</button>" in page


def test_live(team, ann, monkeypatch):
    """The list and the response follow by themselves, until it is deleted."""
    monkeypatch.setattr("wrapper.console.live.SECONDS", 0)
    id_ = begin(team, "ann")
    pages = [ann.open(f"{RESPONSES}{path}") for path in ("/live", f"/response/live?id={id_}")]
    streams = [iter(page.response) for page in pages]
    for stream in streams:
        assert b"in progress" in next(stream)
    assert ann.change("POST", CANCEL, id=id_).status_code == 200
    for stream in streams:
        assert any(b"cancelled" in event for event in stream)
    ann.change("POST", DELETE, id=id_)
    for _ in streams[1]:
        pass
    for page in pages:
        page.close()


def test_cancel(team, ann):
    """A response is cancelled where it stands; what is written of it stays."""
    id_ = begin(team, "ann")
    assert ann.send("POST", CANCEL, data={"id": id_}).status_code == 403
    assert "In the background" in ann.change("POST", CANCEL, id=id_, list="1").text
    team.wait("ann", f"/v1/responses/{id_}", "cancelled")
    page = read(ann, id_)[1]
    assert "Hello." in page
    assert ">Cancel</button>" not in page
    assert "data-live=" not in page
    other = begin(team, "ann")
    assert ann.post(CANCEL, id=other).location == f"{RESPONSES}/response?id={other}"


def test_what_cannot_be_cancelled(team, ann):
    """A response that has completed is not cancelled, which is a notice in the page."""
    id_ = team.respond("ann", "Hi")
    team.wait("ann", f"/v1/responses/{id_}", "completed")
    answer = ann.change("POST", CANCEL, id=id_)
    assert answer.status_code == 400
    assert "cannot be cancelled" in answer.text


def test_delete(team, ann):
    """Deleting a response that runs ends it."""
    id_ = begin(team, "ann")
    assert ann.change("POST", DELETE, id=id_).status_code == 200
    assert read(ann, id_)[0] == 404
    assert eventually(lambda: not team.gateway.work.jobs.busy())


def test_owner(team, ann):
    """To another key a response in the background does not exist, by its id neither."""
    id_ = begin(team, "bob")
    assert id_ not in ann.open(RESPONSES).text
    assert read(ann, id_)[0] == 404
    assert ann.open(f"{RESPONSES}/response/live?id={id_}").data == b""
    for path in (CANCEL, DELETE):
        assert ann.change("POST", path, id=id_).status_code == 404
        assert ann.change("POST", path, id=id_, key="bob").status_code == 403
    assert read(ann, id_, key="bob")[0] == 403
    assert "in progress" in team.people["bob"].open(RESPONSES).text


def test_admin(team):
    """An admin sees, reads, cancels and deletes those of other keys."""
    eve, id_ = team.people["eve"], begin(team, "bob")
    for query in ({}, {"key": "bob"}):
        page = eve.send("GET", RESPONSES, query_string=query).text
        assert f"id={id_}&amp;key=bob" in page
    assert read(eve, id_)[0] == 404
    assert "Hello." in read(eve, id_, key="bob")[1]
    live = eve.open(f"{RESPONSES}/response/live?id={id_}&key=bob")
    assert b"Hello." in next(iter(live.response))
    live.close()
    assert "cancelled" in eve.change("POST", CANCEL, id=id_, key="bob").text
    assert eve.change("POST", DELETE, id=id_, key="bob").status_code == 200
    assert read(eve, id_, key="bob")[0] == 404


@pytest.mark.parametrize("summary", [None, "text", 3, [{}], ["a"], [{"text": 3}]])
def test_odd_summary(team, ann, summary):
    """A summary is shown as far as it has texts, since it is stored as the client sent it."""
    item = {"type": "reasoning", "summary": summary, "encrypted_content": "another gateway's"}
    said = {"role": "user", "content": "Hi"}
    id_ = team.send("ann", "/v1/responses", {"input": [said, item, said]})["id"]
    assert read(ann, id_)[0] == 200
