"""Batches: their lines run once each, whatever happens, and their results are in two files."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.batch_process import ALICE, BatchProcess, answer, line, refuse_for_budget
from tests.support.lost_answers import fail_once, lose_once
from tests.support.server import eventually
from wrapper.errors import (
    BatchEnded,
    BatchNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    StorageFull,
    StoredFileNotFound,
    Unavailable,
)
from wrapper.services.batches import lines as line_runs
from wrapper.services.batches import runner, running, validation
from wrapper.services.batches.batch import BatchRequest, LineResult
from wrapper.services.batches.line import LONGEST_CUSTOM_ID
from wrapper.services.batches.line_index import pack
from wrapper.services.batches.lines import LineRunner
from wrapper.services.batches.running import RunningBatch
from wrapper.services.batches.validation import validate
from wrapper.services.files.store import Room
from wrapper.services.jobs import consumer, deferred, queue, redis_queue, upkeep
from wrapper.services.jobs.answer import Answer
from wrapper.services.jobs.store import Room as JobRoom

SECONDS = 60.0


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    for module in (queue, redis_queue):
        monkeypatch.setattr(module, "WAIT", 0.02)
    monkeypatch.setattr(deferred, "DEFER", 0.05)
    monkeypatch.setattr(consumer, "PAUSE", 0.02)
    monkeypatch.setattr(upkeep, "WATCH", 0.05)
    monkeypatch.setattr(upkeep, "BEAT", 0.05)
    for name in ("BUDGET_PAUSE", "LOOK_PAUSE", "FAILURE_PAUSE"):
        monkeypatch.setattr(runner, name, 0.05)


@pytest.fixture(params=["sqlite", "redis"])
def start(request, tmp_path):
    """Return a function that starts a process; all share their stores, and end after the test."""
    url = request.getfixturevalue("redis_server").url if request.param == "redis" else ""
    with ExitStack() as stack:

        def start(respond=lambda body, gone: answer(), *, most=4, run=True) -> BatchProcess:
            process = BatchProcess(tmp_path, respond, most, url)
            stack.callback(process.close)
            if run:
                process.jobs.start(watch=True)
            return process

        yield start


class Gate:
    """Answers once it is opened, or its request is not wanted any more."""

    def __init__(self):
        self.opened = threading.Event()
        self.entered = threading.Event()

    def __call__(self, body, gone):
        self.entered.set()
        while not (self.opened.wait(0.01) or gone()):
            pass
        return answer(408 if gone() else 200)


def lines(count):
    return [line(f"n{number}") for number in range(count)]


def test_results(start):
    """Each line is asked once; answers and errors stand in their files in the lines' order."""

    def respond(body, gone):
        refused = {"error": {"message": "No.", "code": "x"}}
        return answer(400, refused) if body["id"] == "n1" else answer(200, {"n": body["id"]})

    process = start(respond)
    id_ = process.create(*lines(5), metadata={"a": "b"})
    body = process.ended(id_)
    assert (body["status"], body["metadata"], body["errors"]) == ("completed", {"a": "b"}, None)
    assert body["request_counts"] == {"total": 5, "completed": 4, "failed": 1}
    order = ("created_at", "in_progress_at", "finalizing_at", "completed_at")
    assert sorted(body[name] for name in order) == [body[name] for name in order]
    assert sorted(process.asked) == [f"n{number}" for number in range(5)]
    output, errors = process.results(id_)
    assert [each["custom_id"] for each in output] == ["n0", "n2", "n3", "n4"]
    assert output[0]["response"]["body"] == {"n": "n0"}
    assert (output[0]["response"]["status_code"], output[0]["error"]) == (200, None)
    assert output[0]["id"].startswith("batch_req_")
    (error,) = errors
    assert (error["custom_id"], error["response"]["status_code"]) == ("n1", 400)
    assert error["response"]["body"]["error"]["message"] == "No."
    file = process.files.find(ALICE.name, body["output_file_id"])
    assert (file.purpose, file.name) == ("batch_output", f"{id_}_output.jsonl")
    assert process.store.results(id_, 0, 10)[0] == []
    assert process.announced == [("alice", "batch.completed", id_)]


def test_answers_of_an_app(start):
    """A line that a login of the app redirects fails, and all results are JSON nevertheless."""

    def respond(body, gone):
        page = Answer(302, {}, iter([b"<html>Log\nin</html>"]), lambda: None)
        return page if body["id"] == "n1" else answer()

    process = start(respond)
    output, (error,) = process.results(process.create(*lines(2)))
    assert [each["custom_id"] for each in output] == ["n0"]
    assert (error["custom_id"], error["error"]["code"]) == ("n1", "unexpected_answer")


BAD = [
    (b"{", "invalid_json_line", None),
    (b"[1]", "invalid_json_line", None),
    (b'{"a": 1, "a": 2}', "duplicate_name", "a"),
    (b'{"a": 1, "a": 2, "custom_id": "%s"}' % (b"i" * 600), "duplicate_name", "a"),
    (b"\xff", "invalid_json_line", None),
    (b'{"custom_id": ' + b"[" * 100_000, "invalid_json_line", None),
    (line(""), "missing_required_parameter", "custom_id"),
    (line("i" * (LONGEST_CUSTOM_ID + 1)), "missing_required_parameter", "custom_id"),
    (line("m", method="GET"), "invalid_method", "method"),
    (line("u", url="/v1/responses"), "url_mismatch", "url"),
    (line("b", body=[]), "invalid_type", "body"),
    (line("s", body={"stream": True}), "unsupported_parameter", "body.stream"),
    (line("g", body={"background": True}), "unsupported_parameter", "body.background"),
    (line("n0"), "duplicate_custom_id", "custom_id"),
    (b'{"custom_id": "\\ud800"}', "invalid_method", "method"),
]


def test_bad_lines(start):
    """A bad line is an error of that line, which names it, and never of the batch."""
    process = start()
    bad = [each.rstrip(b"\n") + b"\r\n\n" for each, _, _ in BAD]
    id_ = process.create(b"\xef\xbb\xbf", line("n0"), *bad, line("last").rstrip(b"\n"))
    output, errors = process.results(id_)
    assert [each["custom_id"] for each in output] == ["n0", "last"]
    shown = [(each["error"]["code"], each["error"]["param"]) for each in errors]
    assert shown == [(code, param) for _, code, param in BAD]
    assert [each["error"]["line"] for each in errors] == list(range(2, 2 + 2 * len(BAD), 2))
    assert (errors[3]["custom_id"], errors[8]["custom_id"]) == (None, "m")
    assert process.ended(id_)["request_counts"] == {"total": 17, "completed": 2, "failed": 15}
    assert sorted(process.asked) == ["last", "n0"]


def test_results_on_one_line(start):
    """A reader that ends lines at other characters than a newline gets whole lines, too."""
    ends = "a\x85b\u2028c\u2029d"
    answered = json.dumps({"text": ends}, ensure_ascii=False).encode()
    process = start(lambda body, gone: replace(answer(), chunks=iter([answered])))
    id_ = process.create(line(ends), line("n1" + ends, url="/v1/responses"))
    body = process.ended(id_)
    for fact, custom_id in (("output_file_id", ends), ("error_file_id", "n1" + ends)):
        with closing(process.files.read(process.files.find(ALICE.name, body[fact]))) as pieces:
            content = b"".join(pieces)
        (only,) = content.decode().splitlines()
        assert json.loads(only)["custom_id"] == custom_id
    (output,), _ = process.results(id_)
    assert output["response"]["body"] == {"text": ends}


def test_many_bad_lines(start, monkeypatch):
    """The results of bad lines do not stay in memory until all lines are read."""
    process = start()
    monkeypatch.setattr(validation, "HELD_BYTES", 1000)
    refuse, refused = process.store.refuse, []

    def count(id_, lines):
        refused.append(len(lines))
        refuse(id_, lines)

    monkeypatch.setattr(process.store, "refuse", count)
    id_ = process.create(*[b"{}\n"] * 20, line("good"))
    assert process.ended(id_)["request_counts"] == {"total": 21, "completed": 1, "failed": 20}
    assert len(process.results(id_)[1]) == sum(refused) == 20
    assert max(refused) < 10


def test_bad_files(start, monkeypatch):
    """A file without lines, one with too many, and one that is deleted fail the batch."""
    monkeypatch.setattr("wrapper.services.batches.validation.MOST_LINES", 3)
    process = start(run=False)
    files: tuple[list[bytes], ...] = ([], lines(4), [b"\n" * 7], lines(1))
    ids = [process.create(*file) for file in files]
    process.files.delete(ALICE.name, process.view(ids[3]).request.input_file_id)
    process.jobs.start()
    bodies = [process.ended(id_) for id_ in ids]
    assert {body["status"] for body in bodies} == {"failed"}
    codes = [body["errors"]["data"][0]["code"] for body in bodies]
    assert codes == ["empty_file", *["too_many_tasks"] * 2, "file_not_found"]
    assert all(body["failed_at"] for body in bodies)
    assert process.asked == []


def test_what_is_refused(start):
    """A batch needs a file of the caller's own, with the purpose batch."""
    process = start(run=False)
    with pytest.raises(StoredFileNotFound):
        process.batches.create("bob", BatchRequest(process.upload(line("a")), "/v1/responses"))
    other = process.upload(line("a"), purpose="vision")
    with pytest.raises(InvalidRequest, match="purpose"):
        process.batches.create(ALICE.name, BatchRequest(other, "/v1/responses"))
    id_ = process.create(line("a"))
    for act in (process.batches.read, process.batches.cancel):
        with pytest.raises(BatchNotFound):
            act("bob", id_)
    assert process.batches.ids("bob") == []
    assert process.batches.ids(ALICE.name) == [id_]


def test_no_room(start, monkeypatch):
    """A key whose files fill its room begins no batch, and a refused one leaves nothing behind."""
    process = start(run=False)
    file = process.upload(line("a"))
    monkeypatch.setattr(process.files, "room", Room(10**9, 1))
    with pytest.raises(QuotaExceeded, match="FILES_MAX_BYTES"):
        process.batches.create(ALICE.name, BatchRequest(file, "/v1/responses"))
    monkeypatch.undo()
    deleted: list[str] = []
    monkeypatch.setattr(process.jobs, "_room", JobRoom(0, 1000))
    monkeypatch.setattr(process.store, "delete", deleted.append)
    with pytest.raises(RateLimited):
        process.batches.create(ALICE.name, BatchRequest(file, "/v1/responses"))
    assert len(deleted) == 1
    assert len(process.files.list(ALICE.name)) == 1


def test_two_workers(start):
    """Two workers run the lines of one batch, none of them twice, and end it once."""
    gates = Gate(), Gate()
    one, two = (start(gate, most=2) for gate in gates)
    id_ = one.create(*lines(40))
    assert all(gate.entered.wait(SECONDS) for gate in gates)
    for gate in gates:
        gate.opened.set()
    body = one.ended(id_)
    assert body["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
    assert sorted(one.asked + two.asked) == sorted(f"n{number}" for number in range(40))
    assert len(two.results(id_)[0]) == 40
    assert len(one.announced + two.announced) == 1
    assert [file.purpose for file in one.files.list(ALICE.name)] == ["batch", "batch_output"]


def test_progress(start):
    """A batch shows how many of its lines have ended while others run."""
    gate = Gate()
    process = start(lambda body, gone: gate(body, gone) if body["id"] == "n2" else answer())
    id_ = process.create(*lines(6))
    assert eventually(lambda: process.view(id_).state.completed == 5)
    body = process.view(id_).body()
    assert (body["status"], body["completed_at"]) == ("in_progress", None)
    assert body["request_counts"] == {"total": 6, "completed": 5, "failed": 0}
    gate.opened.set()
    assert process.ended(id_)["status"] == "completed"


def test_lines_that_wait(start):
    """Every process knows how many lines have not begun, whichever runs them."""
    gate = Gate()
    worker, other = start(gate, most=1), start(most=0)
    id_ = worker.create(*lines(6))
    assert gate.entered.wait(SECONDS)
    assert eventually(lambda: other.batches.lines_waiting == 5)
    gate.opened.set()
    worker.ended(id_)
    assert eventually(lambda: other.batches.lines_waiting == 0)


def test_a_worker_that_dies(start):
    """The lines that ran in a worker that died are errors; others go on with the rest."""
    gate = Gate()
    dead = start(gate, most=4)  # a key leaves the last place free
    id_ = dead.create(*lines(10))
    assert eventually(lambda: len(dead.asked) == 3)
    dead.die()
    lost = sorted(dead.asked)
    live = start()
    output, errors = live.results(id_)
    assert sorted(each["custom_id"] for each in errors) == lost
    assert {each["error"]["code"] for each in errors} == {"worker_lost"}
    assert sorted(each["custom_id"] for each in output) == sorted(live.asked)
    assert sorted(live.asked + lost) == sorted(f"n{number}" for number in range(10))
    assert live.ended(id_)["status"] == "completed"


def test_a_worker_that_dies_between_lines(start, monkeypatch):
    """A batch whose worker dies before it has claimed a line goes on in another one."""
    dead = start(run=False)
    id_ = dead.create(*lines(3))
    assert dead.job_store.begin(id_, "worker_dead", time.time() - 1)
    monkeypatch.setattr("wrapper.services.jobs.upkeep.LEASE", 0.0)
    live = start()
    assert len(live.results(id_)[0]) == 3


def test_a_worker_that_dies_while_it_writes_results(start, monkeypatch):
    """Another worker writes the files anew, and those that are whole are kept."""
    monkeypatch.setattr("wrapper.services.jobs.upkeep.LEASE", 0.0)
    dead = start(run=False)
    id_ = dead.create(*lines(2))
    facts = {"status": "in_progress"}
    file = dead.files.find(ALICE.name, dead.view(id_).request.input_file_id)
    pieces = dead.files.read(file)
    found = validate(pieces, file.size, "/v1/chat/completions", lambda refused: None)
    pieces.close()
    dead.store.begin(id_, found.index, 2, 0, facts)
    for number in (0, 1):
        dead.store.claim(id_, "worker_dead")
        data = b'{"custom_id":"n%d"}' % number
        dead.store.finish(id_, "worker_dead", LineResult(number, True, data))
    assert dead.store.take_over(id_, "", "worker_dead x")
    dead.store.change(id_, {"status": "finalizing"})
    assert dead.job_store.begin(id_, "worker_dead", time.time() - 1)
    live = start()
    output, errors = live.results(id_)
    assert ([each["custom_id"] for each in output], errors) == (["n0", "n1"], [])
    assert live.asked == []


def test_full_disk(start, monkeypatch):
    """If the result files cannot be written, no result is lost: they are written later."""
    process = start()
    full, opened = threading.Event(), process.files.result

    def result(owner):
        if not full.is_set():
            full.set()
            raise StorageFull("FILES_DIR: No space left on device")
        return opened(owner)

    monkeypatch.setattr(process.files, "result", result)
    id_ = process.create(*lines(3))
    assert len(process.results(id_)[0]) == 3
    assert full.is_set()
    assert len(process.asked) == 3


def test_cancel_before_it_begins(start):
    """A batch that waits is cancelled at once, and runs nothing."""
    process = start(run=False)
    id_ = process.create(*lines(3))
    body = process.batches.cancel(ALICE.name, id_).body()
    assert (body["status"], bool(body["cancelled_at"])) == ("cancelled", True)
    process.jobs.start()
    assert process.batches.cancel(ALICE.name, id_).body()["status"] == "cancelled"
    assert process.asked == []


def test_cancel_while_it_runs(start):
    """Lines that run end, no others begin, and answers so far are kept."""
    gate = Gate()
    process = start(lambda body, gone: answer() if body["id"] == "n0" else gate(body, gone))
    id_ = process.create(*lines(50))
    assert eventually(lambda: process.view(id_).state.completed)
    assert gate.entered.wait(SECONDS)
    assert process.batches.cancel(ALICE.name, id_).body()["status"] in ("cancelling", "cancelled")
    body = process.ended(id_)
    assert (body["status"], bool(body["cancelling_at"])) == ("cancelled", True)
    output, errors = process.results(id_)
    assert [each["custom_id"] for each in output] == ["n0"]
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    assert len(process.asked) < 10
    assert process.batches.cancel(ALICE.name, id_).body()["status"] == "cancelled"


def test_cancel_while_it_is_paused(start, monkeypatch):
    """A batch that waits for its budget is cancelled at once, whatever else runs and waits."""
    monkeypatch.setattr(runner, "BUDGET_PAUSE", 3600.0)
    gate = Gate()

    def respond(body, gone):
        answers: dict[str, Callable[[], Answer]] = {"n0": answer, "n1": refuse_for_budget}
        return answers.get(body["id"], lambda: gate(body, gone))()

    process = start(respond, most=1)
    id_ = process.create(*lines(2))
    assert eventually(lambda: process.view(id_).state.facts.get("paused"))
    others = [process.create(line(f"other{number}")) for number in range(3)]
    assert gate.entered.wait(SECONDS)
    process.batches.cancel(ALICE.name, id_)
    body = process.ended(id_)
    assert (body["status"], body["paused"]) == ("cancelled", None)
    assert body["request_counts"] == {"total": 2, "completed": 1, "failed": 0}
    output, errors = process.results(id_)
    assert ([each["custom_id"] for each in output], errors) == (["n0"], [])
    gate.opened.set()
    assert {process.ended(other)["status"] for other in others} == {"completed"}


def test_cancel_while_a_line_is_limited(start):
    """A line that waits for a rate limit is an error at once when its batch is cancelled."""
    process = start(lambda body, gone: answer(429, retry_after=3600.0), most=1)
    id_ = process.create(*lines(2))
    assert eventually(lambda: process.asked)
    process.batches.cancel(ALICE.name, id_)
    body = process.ended(id_)
    assert (body["status"], body["request_counts"]["failed"]) == ("cancelled", 1)
    output, errors = process.results(id_)
    assert output == []
    assert [each["error"]["code"] for each in errors] == ["batch_cancelled"]


def test_cancel_while_results_are_written(start, monkeypatch):
    """A batch that is cancelled while its results are written is cancelled, with all of them."""
    process = start()
    opened, seen = process.files.result, []

    def result(owner):
        (id_,) = process.batches.ids(owner)
        seen.append(process.view(id_).status)
        seen.append(process.batches.cancel(owner, id_).status)
        return opened(owner)

    monkeypatch.setattr(process.files, "result", result)
    id_ = process.create(*lines(3))
    body = process.ended(id_)
    assert (body["status"], bool(body["cancelled_at"])) == ("cancelled", True)
    assert body["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
    assert len(process.results(id_)[0]) == 3
    assert seen == ["finalizing", "cancelling"]
    assert process.announced == [("alice", "batch.cancelled", id_)]


@pytest.mark.parametrize("most", [1, 4])
def test_revoked(start, most):
    """If the key is revoked, running lines end, no others begin, and answers so far are kept."""
    gate = Gate()
    process = start(
        lambda body, gone: answer() if body["id"] == "n0" else gate(body, gone), most=most
    )
    id_ = process.create(*lines(50))
    assert eventually(lambda: process.view(id_).state.completed)
    assert gate.entered.wait(SECONDS)
    process.revoked = True
    body = process.ended(id_)
    assert (body["status"], bool(body["failed_at"])) == ("failed", True)
    (error,) = body["errors"]["data"]
    assert (error["code"], error["message"]) == (
        "invalid_api_key",
        "The key 'alice' was revoked before the batch had ended.",
    )
    output, errors = process.results(id_)
    assert [each["custom_id"] for each in output] == ["n0"]
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}
    assert len(errors) == len(process.asked) - 1 < 10
    assert process.announced == [("alice", "batch.failed", id_)]


def test_revoked_before_it_begins(start):
    """A batch whose key is revoked while it waits runs nothing."""
    process = start(run=False)
    id_ = process.create(*lines(3))
    process.revoked = True
    process.jobs.start()
    body = process.ended(id_)
    assert (body["status"], body["errors"]["data"][0]["code"]) == ("failed", "invalid_api_key")
    assert (process.asked, process.results(id_)) == ([], ([], []))


def test_cancel_of_what_has_ended(start):
    """A batch that is completed cannot be cancelled."""
    process = start()
    id_ = process.create(*lines(1))
    process.ended(id_)
    with pytest.raises(BatchEnded, match="Cannot cancel a batch with status 'completed'"):
        process.batches.cancel(ALICE.name, id_)


def test_cancel_while_it_is_validated(start, monkeypatch):
    """A file is read no further once its batch is cancelled, and no line runs."""
    process = start(run=False)
    id_ = process.create(*lines(3))
    read: list[int] = []

    def pieces(file, start=0, stop=None):
        process.batches.cancel(ALICE.name, id_)
        for number in range(3):
            read.append(number)
            yield line(f"n{number}")

    monkeypatch.setattr(process.files, "read", pieces)
    process.jobs.start()
    assert process.ended(id_)["status"] == "cancelled"
    assert (read, process.asked) == ([0], [])
    assert process.announced == [("alice", "batch.cancelled", id_)]


def test_expiry_of_what_is_limited(start, monkeypatch):
    """A line that a limit still refuses when its batch expires does not keep it from ending."""
    process = start(lambda body, gone: answer(429, retry_after=3600.0))
    id_ = process.create(*lines(2))
    assert eventually(lambda: process.asked)
    monkeypatch.setattr(running, "WINDOW_SECONDS", 0)
    assert process.ended(id_)["status"] == "expired"
    output, errors = process.results(id_)
    assert (output, {each["error"]["code"] for each in errors}) == ([], {"batch_expired"})


def test_a_worker_that_dies_at_the_end(start, monkeypatch):
    """A batch that had ended when its worker died is reported, and none of its lines stays."""
    monkeypatch.setattr("wrapper.services.jobs.upkeep.LEASE", 0.0)
    dead = start(run=False)
    id_ = dead.create(*lines(1))
    dead.store.begin(id_, pack([(0, 1)], 1), 1, 0, {"status": "completed"})
    dead.store.claim(id_, "worker_dead")
    dead.store.finish(id_, "worker_dead", LineResult(0, True, b"{}"))
    assert dead.job_store.begin(id_, "worker_dead", time.time() - 1)
    live = start()
    assert live.ended(id_)["status"] == "completed"
    assert live.announced == [("alice", "batch.completed", id_)]
    assert live.store.results(id_, 0, 1)[0] == []


def test_expiry(start, monkeypatch):
    """After its window no line begins; those that have not run are errors."""
    gate = Gate()
    process = start(gate, most=1)
    id_ = process.create(*lines(5))
    assert gate.entered.wait(SECONDS)
    monkeypatch.setattr(running, "WINDOW_SECONDS", 0)
    gate.opened.set()
    body = process.ended(id_)
    assert (body["status"], bool(body["expired_at"])) == ("expired", True)
    assert process.announced == [("alice", "batch.expired", id_)]
    output, errors = process.results(id_)
    assert len(output) == len(process.asked) < 5
    assert {each["error"]["code"] for each in errors} == {"batch_expired"}
    assert sorted(each["custom_id"] for each in output + errors) == [f"n{n}" for n in range(5)]


def test_expiry_after_the_last_line(start, monkeypatch):
    """A batch whose last line ends after its window is complete."""
    gate = Gate()
    process = start(gate)
    id_ = process.create(*lines(1))
    assert gate.entered.wait(SECONDS)
    monkeypatch.setattr(running, "WINDOW_SECONDS", 0)
    gate.opened.set()
    body = process.ended(id_)
    assert (body["status"], body["request_counts"]["completed"]) == ("completed", 1)


def test_budget(start):
    """While the budget is used up the batch is paused, says so, and runs the line later."""
    budget = threading.Event()

    def respond(body, gone):
        return answer() if body["id"] == "n0" or budget.is_set() else refuse_for_budget()

    process = start(respond)
    id_ = process.create(*lines(4))
    assert eventually(lambda: process.view(id_).state.facts.get("paused"))
    paused = process.view(id_).body()
    assert paused["status"] == "in_progress"
    assert paused["paused"]["reason"] == "insufficient_quota"
    budget.set()
    body = process.ended(id_)
    assert (body["status"], body["paused"]) == ("completed", None)
    assert body["request_counts"] == {"total": 4, "completed": 4, "failed": 0}


def test_budget_of_a_user(start):
    """A line of a user whose budget is used up fails, and does not stop those of other users."""

    def respond(body, gone):
        warnings = {"x-budget-warnings": "user_usd_per_day=100"}
        return refuse_for_budget(**warnings) if body["id"] == "n1" else answer()

    process = start(respond)
    id_ = process.create(*lines(3))
    assert process.ended(id_)["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
    (error,) = process.results(id_)[1]
    assert error["response"]["body"]["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "insufficient_quota"])
def test_refused_in_mid_turn(start, code):
    """A line whose turn a limit or a budget ends after the model has begun fails, and runs once."""
    process = start(lambda body, gone: answer(429, {"error": {"code": code}}))
    id_ = process.create(*lines(1))
    body = process.ended(id_)
    assert (body["status"], body["paused"]) == ("completed", None)
    assert process.asked == ["n0"]
    (error,) = process.results(id_)[1]
    assert error["response"]["status_code"] == 429
    assert error["response"]["body"]["error"]["code"] == code


def test_limits(start):
    """A request that a rate limit refuses is made again, and so is one before anything began."""
    refusals = [
        answer(429, retry_after=0.01),
        answer(503, retry_after=0.01),
        answer(429, retry_after=0.01),
    ]
    process = start(lambda body, gone: refusals.pop() if refusals else answer())
    id_ = process.create(*lines(1))
    assert process.ended(id_)["request_counts"]["completed"] == 1
    assert len(process.asked) == 4


def test_what_is_never_available(start):
    """A request that is always refused is an error after some tries."""
    process = start(lambda body, gone: answer(503, retry_after=0.01))
    (error,) = process.results(process.create(*lines(1)))[1]
    assert error["response"]["status_code"] == 503
    assert len(process.asked) == line_runs.TRIES + 1


def test_shutdown(start):
    """A worker that shuts down takes no more lines, and gives back one that has not begun."""
    gate = Gate()
    process = start(gate, most=1)
    id_ = process.create(*lines(5))
    assert gate.entered.wait(SECONDS)
    process.draining = True
    process.respond = lambda body, gone: answer(503, retry_after=1.0)
    gate.opened.set()
    assert process.jobs.wait_until_idle(SECONDS)
    assert process.view(id_).state.done == 1
    other = start()
    assert len(other.results(id_)[0]) == 5
    assert len(other.asked) == 4


def test_a_crash(start):
    """A line for which the gateway itself fails is an error."""

    def respond(body, gone):
        raise ZeroDivisionError

    process = start(respond)
    (error,) = process.results(process.create(*lines(1)))[1]
    assert (error["custom_id"], error["error"]["code"]) == ("n0", "internal_error")


def test_a_deleted_input(start):
    """If the input is deleted meanwhile, the lines that have not begun are errors.

    Their numbers are those in the file, where empty lines count.
    """
    gate = Gate()
    process = start(gate, most=1)
    id_ = process.create(line("n0"), b"\n", line("n1"), b" \r\n", line("n2"))
    assert gate.entered.wait(SECONDS)
    process.files.delete(ALICE.name, process.view(id_).request.input_file_id)
    gate.opened.set()
    output, errors = process.results(id_)
    assert len(output) == 1
    shown = [(each["error"]["code"], each["error"]["line"]) for each in errors]
    assert shown == [("file_not_found", 3), ("file_not_found", 5)]


def test_a_lost_claim(start):
    """A line whose claim never reached its worker runs later."""
    process = start(run=False)
    process.store.claim = lose_once(process.store.claim)
    process.jobs.start()
    id_ = process.create(*lines(3))
    assert len(process.results(id_)[0]) == 3
    assert sorted(process.asked) == ["n0", "n1", "n2"]


def test_a_lost_claim_is_released_once(start):
    """No run releases a line that another run of its process may just have claimed."""
    process, claimed = start(run=False), []
    store = process.store
    batch: Any = SimpleNamespace(id="batch_1", worker="worker_1")
    store.create("batch_1", time.time() + 60)
    store.begin("batch_1", pack([(0, 1)], 1), 1, 0, {})
    store.claim("batch_1", "worker_1")  # its run was not told
    runs = LineRunner(store, process.files)
    release = store.release

    def claim():
        claimed.append(runs._claim(batch))

    def watch(id_, number):
        thread.start()
        thread.join(0.2)
        assert not claimed  # it waits
        release(id_, number)

    thread, store.release = threading.Thread(target=claim), watch
    runs.running(batch)
    thread.join(SECONDS)
    assert claimed == [0]
    assert runs.running(batch) == [(0, "worker_1")]


def test_a_lost_finalizer(start):
    """A run whose claim to write the results never reached it leaves that to another run."""
    process = start(run=False)
    process.store.take_over = lose_once(process.store.take_over)
    process.jobs.start()
    assert len(process.results(process.create(*lines(3)))[0]) == 3


def test_a_batch_that_another_run_has_just_ended(start):
    """A run that comes too late to write the results leaves the batch as it has ended."""
    process = start(run=False)
    store, finalizer = process.store, process.store.finalizer

    def end_before(id_):
        store.finalizer = finalizer
        assert store.take_over(id_, "", "another token")
        store.change(id_, {"status": "expired", "expired_at": 1})
        store.clear(id_)
        return finalizer(id_)

    store.finalizer = end_before
    process.jobs.start()
    body = process.ended(process.create(*lines(3)))
    assert (body["status"], body["finalizing_at"]) == ("expired", None)


def test_the_store_fails_while_results_are_written(start):
    """The results are written once the store is back, also by the same process."""
    process = start(run=False)
    change, take_over = process.store.change, process.store.take_over
    away = iter([True, True])

    def fail(call, *arguments):
        if next(away, False):
            raise Unavailable("SESSION_STORE: Redis cannot be reached")
        return call(*arguments)

    def finalizing(id_, facts):
        if facts.get("status") == "finalizing":
            return fail(change, id_, facts)
        return change(id_, facts)

    def release(id_, before, after):
        return take_over(id_, before, after) if after else fail(take_over, id_, before, after)

    process.store.change, process.store.take_over = finalizing, release
    process.jobs.start()
    assert len(process.results(process.create(*lines(3)))[0]) == 3


def test_an_input_that_cannot_be_read_now(start, monkeypatch):
    """A line whose text cannot be read for a moment runs later."""
    monkeypatch.setattr(RunningBatch, "read", fail_once(RunningBatch.read))
    process = start(most=1)
    output, errors = process.results(process.create(*lines(3)))
    assert (len(output), errors) == (3, [])


def test_cancel_fails(start):
    """A cancellation that fails half-way can be repeated."""
    gate = Gate()
    process = start(gate)
    id_ = process.create(*lines(3))
    assert gate.entered.wait(SECONDS)
    process.jobs.cancel = fail_once(process.jobs.cancel)
    with pytest.raises(Unavailable):
        process.batches.cancel(ALICE.name, id_)
    process.batches.cancel(ALICE.name, id_)
    assert process.ended(id_)["status"] == "cancelled"


def test_delete_fails(start):
    """What could not be deleted is deleted with the next attempt."""
    process = start(run=False)
    id_ = process.create(*lines(3))
    process.store.delete = fail_once(process.store.delete)
    with pytest.raises(Unavailable):
        process.batches.delete_all(ALICE.name)
    assert process.batches.delete_all(ALICE.name) == 1
    assert process.store.read(id_) is None


def test_cancel_from_elsewhere(start, monkeypatch):
    """A paused batch that another process cancels ends before other jobs begin."""
    monkeypatch.setattr(runner, "BUDGET_PAUSE", 3600.0)
    gate = Gate()
    process = start(
        lambda body, gone: refuse_for_budget() if body["id"] == "n0" else gate(body, gone), most=1
    )
    id_ = process.create(*lines(1))
    assert eventually(lambda: process.view(id_).state.facts.get("paused"))
    others = [process.create(line(f"other{number}")) for number in range(3)]
    assert gate.entered.wait(SECONDS)
    start(run=False).batches.cancel(ALICE.name, id_)
    gate.opened.set()
    for other in (id_, *others):
        process.ended(other)
    ends = [announced[2] for announced in process.announced]
    assert ends.index(id_) < ends.index(others[-1])
