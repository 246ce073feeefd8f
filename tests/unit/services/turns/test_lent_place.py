"""A request that waits for its session lends its place to the turn that it waits for."""

import threading
import time

from tests.support.server import eventually
from tests.support.turn_harness import user
from wrapper import Gateway
from wrapper.routes.chat import complete
from wrapper.services.approvals.approval import Decision, ToolRequest
from wrapper.services.principal import LOCAL, Caller
from wrapper.services.request import TurnRequest
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

WRITE = ToolRequest("Write", {"file_path": "a", "content": "x"})
SECONDS = 20.0


class AskingEngine(ScriptedEngine):
    """An engine whose first turn waits for an approval before it answers."""

    async def run(self, turn, leaving):
        if not self.turns:
            self.turns.append(turn)
            assert turn.approver
            await turn.approver.ask(WRITE)
        async for event in super().run(turn, leaving):
            yield event


def test_a_turn_that_was_approved_gets_the_place_of_the_next_of_its_session(tmp_path):
    """With one place, a session's second request neither stops the first one nor gets a 409."""
    settings = Settings(
        usage_db=str(tmp_path / "usage.db"),
        max_concurrent_turns=1,
        claude_permission_mode="ask",
        session_wait=int(SECONDS),
    )
    gateway = Gateway(settings, engine=AskingEngine(lambda turn: answer("Yes.")))
    texts: list[str] = []

    def ask(text):
        request = TurnRequest((user(text),), session_id="s")
        body = complete(gateway.chat_service, request, Caller()).body
        texts.append(body["choices"][0]["message"]["content"])

    threads = [threading.Thread(target=ask, args=(text,)) for text in ("a", "b")]
    admission, approvals = gateway.limits.admission, gateway.stores.approvals
    began = time.monotonic()
    try:
        threads[0].start()
        assert eventually(lambda: approvals.pending(LOCAL))
        threads[1].start()
        assert eventually(lambda: [each.runs for each in admission.requests()] == [True, True])
        (approval,) = approvals.pending(LOCAL)
        approvals.decide(LOCAL, approval.id, Decision("approved"))
        for thread in threads:
            thread.join(2 * SECONDS)
    finally:
        gateway.close()
    assert texts == ["Yes.", "Yes."]
    assert time.monotonic() - began < SECONDS / 2
    assert admission.load()["running"] == 0
