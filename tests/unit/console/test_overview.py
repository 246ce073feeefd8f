"""The overview: the gateway's state in plain words, and nobody else's turns."""

import re
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.console_client import HOME, ConsoleClient
from tests.support.key_files import add_keys
from tests.support.scripted_server import DONE, ScriptedServer, error_of
from tests.support.server import eventually
from wrapper.auth import key_editor
from wrapper.console import live
from wrapper.console.advice import problems_of, status_of
from wrapper.errors import TurnStopped
from wrapper.services.events import Started, TextDelta
from wrapper.services.limits.admission import Admission
from wrapper.services.principal import Caller, Principal
from wrapper.services.store_health import StoreFailed
from wrapper.services.workers.service import open_workers

ERROR = "it is broken; mend it"
FAILURES: dict[str, dict[str, Any]] = {
    "login": {"login": {"status": "refused", "error": ERROR}},
    "expired login": {"login": {"status": "expired", "error": ERROR}},
    "login that expires": {"login": {"status": "expiring", "error": ERROR}},
    "pool": {"pools": {"agent": {"status": "failing", "error": ERROR}}},
    "machine": {"machine": {"status": "failing", "error": ERROR}},
    "keys": {"keys": {"status": "failing", "error": ERROR}},
    "MCP": {"mcp_config": {"status": "failing", "error": ERROR}},
    "spending": {"usage": {"status": "failing", "unbooked": 3, "error": ERROR}},
    "sessions": {"sessions": {"status": "failing", "error": ERROR}},
    "responses": {"responses": {"status": "failing", "error": ERROR}},
    "jobs": {"jobs": {"status": "failing", "error": ERROR}},
    "warm-up": {"warm_up": {"agent": {"status": "off", "error": ERROR}}},
}


@pytest.mark.parametrize("name", FAILURES)
def test_problems(name):
    """Whatever /health reports is explained, with the reason that says what to do."""
    (problem,) = problems_of(FAILURES[name])
    assert problem.title
    assert problem.meaning
    assert problem.why == ERROR


def test_no_problems():
    """A gateway that is well needs no attention."""
    health = ScriptedServer().app.extensions["wrapper"].health()
    assert problems_of(health) == []
    assert status_of(health, draining=False).tone == "good"


@pytest.mark.parametrize("status", ["ok", "starting", "degraded", "failing"])
def test_status(status):
    """Every status of /health has words; while the gateway shuts down, that comes first."""
    assert status_of({"status": status}, draining=False).title
    assert status_of({"status": status}, draining=True).title == "Shutting down"


def test_problem_on_page(monkeypatch):
    """The page shows what is wrong, as text."""
    server = ScriptedServer()
    broken = {"status": "failing", "error": "<script>alert(1)</script>"}
    gateway = server.app.extensions["wrapper"]
    health = gateway.health()
    monkeypatch.setattr(gateway.workers, "_health", lambda: {**health, "sessions": broken})
    page = ConsoleClient(server.app).open().text
    assert "Sessions cannot be read or stored" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_first_step():
    """While no turn runs, the page says how to send one, with a key where one is needed."""
    assert (
        "curl http://localhost/v1/chat/completions"
        in ConsoleClient(ScriptedServer().app).open().text
    )
    person = ConsoleClient(ScriptedServer(api_key="sk-a").app)
    person.sign_in("sk-a")
    page = person.open().text
    assert "YOUR_KEY" in page
    assert "sk-a" not in page


@pytest.fixture
def busy(tmp_path):
    """A gateway in which a turn of bob's runs, and consoles of ann and of the admin eve."""
    file = tmp_path / "keys.toml"
    keys = add_keys(file, "ann", "bob", "eve", admin="eve")
    may_end = threading.Event()

    def script(turn):
        yield Started("scripted-model")
        while not may_end.is_set():
            yield 0.01
        yield from (TextDelta("Hi"), DONE)

    database = str(tmp_path / "usage.db")
    server = ScriptedServer(script=script, api_keys_file=str(file), usage_db=database)
    answer: Future[TestResponse] = Future()
    turn = threading.Thread(
        target=lambda: answer.set_result(server.ask({"x-api-key": keys["bob"]}))
    )
    turn.start()
    admission = server.app.extensions["wrapper"].limits.admission
    assert eventually(lambda: [each.activity for each in admission.requests()] == ["answers"])
    consoles: dict[str, Any] = {name: ConsoleClient(server.app) for name in ("ann", "eve")}
    for name, console in consoles.items():
        console.sign_in(keys[name])
    consoles |= {"answer": answer, "keys": keys}
    yield consoles
    may_end.set()
    turn.join()


def test_whose_turns(busy):
    """An admin sees everybody's turns and the machine, and other callers see their own."""
    page = busy["eve"].open().text
    assert all(text in page for text in (">bob</th>", "answers", "Memory left", "Stop the turn of"))
    page = busy["ann"].open().text
    assert "bob" not in page
    assert "Memory left" not in page
    assert "No turn is running" in page


def turn_in(page):
    """Return the worker and the number of the turn that the page can stop, as its form does."""
    fields = re.findall(r'name="(worker|number)" value="(\w+)"', page)
    assert [name for name, _ in fields] == ["worker", "number"]
    return dict(fields)


def test_stop(busy):
    """Only its caller and admins stop a turn; its client gets an error of the API."""
    turn = turn_in(busy["eve"].open().text)
    assert busy["ann"].post(f"{HOME}/stop", **turn).status_code == 409
    assert busy["eve"].send("POST", f"{HOME}/stop", data=turn).status_code == 403
    assert "is being stopped" not in busy["eve"].open().text
    busy["eve"].change("POST", f"{HOME}/stop", **turn)  # whose page may come after the turn's end
    answer = busy["answer"].result(60)
    error = error_of(answer, 503)
    assert (error["code"], error["message"]) == (
        "turn_stopped",
        "eve has stopped this turn.",
    )
    assert answer.headers["x-should-retry"] == "false"
    assert busy["eve"].post(f"{HOME}/stop", **turn).status_code == 409


@pytest.mark.parametrize("number", ["", "x", "-1"])
def test_stop_nothing(number):
    """What is no turn cannot be stopped."""
    server = ScriptedServer()
    worker = server.app.extensions["wrapper"].workers.id
    answer = ConsoleClient(server.app).post(f"{HOME}/stop", worker=worker, number=number)
    assert answer.status_code == 409


@pytest.fixture
def other_worker(busy):
    """Another worker of the same server, in which a turn of ann's runs."""
    app = busy["eve"].client.application
    gateway = app.extensions["wrapper"]
    sign_ins = gateway.sign_ins
    gateway.lifecycle.workers = 2
    for name in ("ann", "eve"):
        busy[name].sign_in(busy["keys"][name])
    admission = Admission(3)
    permit = admission.admit(1, Caller(Principal("ann"), request_id="req_of_ann"))
    other = open_workers(gateway.settings, admission, gateway.health, gateway.lifecycle)
    yield other, permit
    for closing in (other, gateway.workers, sign_ins._current()):
        closing.close()


def test_several_workers(busy, other_worker):
    """The page shows the turns of all workers, and stops those of any."""
    other, permit = other_worker
    page = busy["ann"].open().text
    assert "1 more worker of this server will appear" in page
    assert "req_of_ann" not in page
    other.follow_orders()
    page = busy["eve"].open().text
    assert all(text in page for text in (">bob</th>", ">ann</th>", ">Workers</h2>", "req_of_ann"))
    assert "will appear" not in page
    page = busy["ann"].open().text
    assert "bob" not in page
    assert "is being stopped" in busy["ann"].change("POST", f"{HOME}/stop", **turn_in(page)).text
    other.follow_orders()
    with pytest.raises(TurnStopped, match="ann has stopped"):
        permit.check()


def test_worker_of_background_work(busy, other_worker):
    """A worker that only runs jobs says so, and is none of those that serve."""
    other, _ = other_worker
    gateway = busy["eve"].client.application.extensions["wrapper"]
    gateway.workers.states()
    gateway.lifecycle.serves = False
    other.follow_orders()
    gateway.lifecycle.serves = True
    page = busy["eve"].open().text
    assert page.count("background only") == 1
    assert "1 more worker of this server will appear" in page


def test_other_workers_are_out_of_reach(busy, other_worker, monkeypatch):
    """Where the store fails, the page shows one worker, and says why."""

    def fail():
        raise StoreFailed("USAGE_DB: mend it")

    workers = busy["eve"].client.application.extensions["wrapper"].workers
    monkeypatch.setattr(workers._store, "stops", fail)
    page = busy["eve"].open().text
    assert "You see one worker alone" in page
    assert "USAGE_DB: mend it" in page


def test_background_work(monkeypatch):
    """The page has how many jobs of each kind wait and run, and whether they can be stored."""
    server = ScriptedServer()
    gateway = server.app.extensions["wrapper"]
    numbers = {"waiting": {"response": 3, "batch": 14}, "running": {"response": 15, "batch": 92}}
    broken = {"status": "failing", "error": "<b>full</b>", **numbers}
    health = gateway.health()
    monkeypatch.setattr(gateway.workers, "_health", lambda: {**health, "jobs": broken})
    page = ConsoleClient(server.app).open().text
    rows = [f">{numbers}</td>" for numbers in (3, 15, 14, 92)]
    assert sorted(rows, key=page.index) == rows
    assert "Background work cannot be stored" in page
    assert "&lt;b&gt;full&lt;/b&gt;" in page


def test_rates(tmp_path):
    """Callers see what is left of their rates."""
    file = tmp_path / "keys.toml"
    secret = key_editor.add(file, "ann")
    file.write_text(f"{file.read_text()}requests_per_minute = 70\ntokens_per_minute = 5000\n")
    server = ScriptedServer(api_keys_file=str(file))
    assert server.ask({"x-api-key": secret}).status_code == 200
    console = ConsoleClient(server.app)
    console.sign_in(secret)
    page = console.open().text
    assert "Requests left this minute" in page
    assert "69 <small>of 70" in page
    assert "4,995 <small>of 5,000" in page


# The live part


def test_live():
    """The stream begins with the state, as one event of HTML."""
    console = ConsoleClient(ScriptedServer().app)
    response = console.open(f"{HOME}/live")
    assert response.mimetype == "text/event-stream"
    event = str(next(response.iter_encoded()), "utf-8")
    response.close()
    lines = event.removesuffix("\n\n").split("\n")
    assert all(line.startswith("data: ") for line in lines)
    assert "All is well" in event


def test_live_ends_with_the_gateway():
    """A stream ends when the gateway shuts down, so that it delays nothing."""
    server = ScriptedServer()
    response = ConsoleClient(server.app).open(f"{HOME}/live")
    server.app.extensions["wrapper"].lifecycle.drain()
    assert len(list(response.response)) == 1
    response.close()


def test_live_ends_with_its_reader():
    """A stream ends when its reader has left, and makes room for the next page that they open."""
    gone = {"waitress.client_disconnected": lambda: True}
    response = ConsoleClient(ScriptedServer().app, **gone).open(f"{HOME}/live")
    assert len(list(response.response)) == 1
    response.close()


def test_live_ends_with_the_sign_in(monkeypatch):
    """A stream ends soon after its reader has signed out."""
    monkeypatch.setattr(live, "SECONDS", 0)
    person = ConsoleClient(ScriptedServer(api_key="sk-a").app)
    person.sign_in("sk-a")
    response = person.open(f"{HOME}/live")
    events = iter(response.response)
    assert b"All is well" in next(events)
    person.post(f"{HOME}/sign-out")
    assert list(events) == []
    response.close()


def test_live_streams_are_counted():
    """A caller has a few streams at once; one that is closed makes room for another."""
    console = ConsoleClient(ScriptedServer().app)
    responses = [console.open(f"{HOME}/live") for _ in range(live.MOST_OF_CALLER)]
    assert console.open(f"{HOME}/live").status_code == 429
    responses.pop().close()
    responses.append(console.open(f"{HOME}/live"))
    assert responses[-1].status_code == 200
    for response in responses:
        response.close()
