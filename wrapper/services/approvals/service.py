"""The approval service: keeps tool requests that wait, and decides them for their owners."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from wrapper.errors import ApprovalDecidedBefore, ApprovalNotFound, InvalidRequest
from wrapper.ids import new_id
from wrapper.services.approvals.approval import Approval, Asker, Decision, ToolRequest
from wrapper.services.approvals.memory_store import MemoryApprovalStore
from wrapper.services.approvals.preview import as_shown, preview, session_rule
from wrapper.services.approvals.questions import answer_schema, check_answers
from wrapper.services.approvals.redis_store import RedisApprovalStore
from wrapper.services.approvals.store import ApprovalStore, Notify, Room
from wrapper.services.principal import Principal
from wrapper.settings import Settings
from wrapper.settings.claude_tools import ALL_TOOLS

PREFIX = "apr_"
EXPIRED = Decision("expired", reason="Nobody has decided in time (APPROVAL_TIMEOUT).")
DELETED = Decision("withdrawn", reason="What its key has stored was deleted.")

log = logging.getLogger(__name__)


class ApprovalService:
    """The approvals in *store*, which expire after *timeout* seconds.

    *decided* is called with the outcome of each approval of this worker, and *began* with each that
    begins to wait. Approvals of responses are kept for *ttl* seconds more.
    """

    def __init__(
        self,
        store: ApprovalStore,
        *,
        timeout: float,
        ttl: float = 3600.0,
        clock: Callable[[], float] = time.time,
        make_id: Callable[[str], str] = new_id,
        decided: Callable[[str], None] = lambda outcome: None,
        began: Callable[[Approval], None] = lambda approval: None,
    ):
        self.timeout = timeout
        self._ttl = ttl
        self._store = store
        self._clock = clock
        self._make_id = make_id
        self._decided = decided
        self._began = began
        self._waiting: set[str] = set()

    def begin(self, asker: Asker, request: ToolRequest, notify: Notify) -> Approval:
        """Return a new pending approval. *notify* is called in any thread once it is decided.

        It must be ended. Raises TooManyApprovals, or Unavailable.
        """
        approval = self._new(self._make_id(PREFIX), asker, request)
        self._store.add(approval, notify)
        self._waiting.add(approval.id)
        self._began(approval)
        return approval

    def end(self, approval: Approval, decision: Decision) -> Decision:
        """End the wait, with *decision* unless another one came before; return the one that holds.

        Raises Unavailable.
        """
        try:
            kept = self._store.decide(approval.id, decision)
            decision = (kept.decision if kept else None) or decision
        finally:
            self._waiting.discard(approval.id)
            self._store.forget(approval.id)
            self._note(approval, decision)
        return decision

    def keep(self, id_: str, asker: Asker, request: ToolRequest) -> None:
        """List a call with which a stored response has ended. Raises Unavailable."""
        approval = self._new(id_, asker, request)
        self._store.keep(approval, self.timeout + self._ttl)
        self._began(approval)

    def kept(self, owner: str) -> Sequence[Approval]:
        """Return the approvals of *owner*'s responses, with what became of them.

        Raises Unavailable.
        """
        return [self._at_present(approval) for approval in self._store.kept(owner)]

    def withdraw(self, approval: Approval, decision: Decision) -> Decision:
        """End an approval of a response, as `end` does."""
        kept = self._store.decide(approval.id, decision)
        decision = (kept.decision if kept else None) or decision
        self._note(approval, decision)
        return decision

    def forget_response(self, owner: str, response_id: str) -> None:
        """Remove the approvals of a response that is deleted. Raises Unavailable."""
        kept = self._store.kept(owner)
        if approvals := [each for each in kept if each.asker.response_id == response_id]:
            self._store.remove(approvals)

    def delete_all(self, owner: str) -> int:
        """Delete all approvals of *owner*, and return how many there were. Raises Unavailable.

        A turn that still waits for one goes on without the tool.
        """
        for approval in self._store.pending(owner):
            self._store.decide(approval.id, DELETED)
        return self._store.delete_all(owner)

    def decide(self, principal: Principal, id_: str, decision: Decision) -> Approval:
        """Decide a pending approval of *principal*, or as an admin of anyone.

        Raises ApprovalNotFound, ApprovalDecidedBefore, InvalidRequest or Unavailable.
        """
        approval = self.read(principal, id_)
        _check_scope(approval, decision)
        if approval.decision is None:
            check_answers(approval, decision)
        decided = self._store.decide(id_, decision) if approval.decision is None else approval
        if decided is None:
            raise _missing(id_)
        if decided.decision is not decision:
            raise ApprovalDecidedBefore(
                f"The approval {id_!r} is {decided.status} already and cannot be decided again.",
                param="approval_id",
            )
        if decided.asker.response_id:  # no turn waits, to note it when it goes on
            self._note(decided, decision)
        return decided

    def read(self, principal: Principal, id_: str) -> Approval:
        """Return an approval that *principal* may see. Raises ApprovalNotFound or Unavailable."""
        approval = self._store.read(id_)
        if approval and (principal.admin or approval.asker.owner == principal.name):
            return self._at_present(approval)
        raise _missing(id_)

    def pending(self, principal: Principal) -> Sequence[Approval]:
        """Return what waits for *principal*, or for an admin all that waits, the oldest first."""
        pending = self._store.pending(None if principal.admin else principal.name)
        return [each for each in map(self._at_present, pending) if each.decision is None]

    @property
    def waiting(self) -> int:
        """Return how many approvals turns of this worker wait for."""
        return len(self._waiting)

    def close(self) -> None:
        self._store.close()

    def _new(self, id_: str, asker: Asker, request: ToolRequest) -> Approval:
        now, request = self._clock(), as_shown(request)
        return Approval(
            id=id_,
            asker=asker,
            tool=request.tool,
            input=request.input,
            preview=preview(request),
            session_rule=session_rule(request),
            created=now,
            expires=now + self.timeout,
            kind=request.kind,
            answer_schema=answer_schema(request),
        )

    def _at_present(self, approval: Approval) -> Approval:
        """Return *approval*, as expired if that is so and no turn waits that would say it."""
        undecided = approval.asker.response_id and approval.decision is None
        if undecided and approval.expires <= self._clock():
            return replace(approval, decision=EXPIRED)
        return approval

    def _note(self, approval: Approval, decision: Decision) -> None:
        """Count and log how an approval has ended."""
        self._decided(decision.outcome)
        log.info(
            "approval %s of %s for %s: %s%s",
            approval.id,
            approval.asker.owner,
            approval.tool if approval.tool in ALL_TOOLS else "another tool",
            decision.outcome,
            f" by {decision.by}" if decision.by else "",
        )


def open_approvals(
    settings: Settings, decided: Callable[[str], None], began: Callable[[Approval], None]
) -> ApprovalService:
    """Return the service. Its store is the Redis of sessions or of rates, if either has one."""
    room = Room(settings.max_approvals, settings.max_approvals_of_key)
    store: ApprovalStore = MemoryApprovalStore(room)
    if settings.session_store not in ("memory", "none"):
        store = RedisApprovalStore(settings.session_store, "SESSION_STORE", room)
    elif settings.redis_url:
        store = RedisApprovalStore(settings.redis_url, "REDIS_URL", room)
    return ApprovalService(
        store,
        timeout=settings.approval_timeout,
        ttl=settings.session_ttl,
        decided=decided,
        began=began,
    )


def _check_scope(approval: Approval, decision: Decision) -> None:
    if decision.scope == "once":
        return
    if approval.kind != "tool":
        why = "a question is answered once"
    elif approval.asker.response_id:
        why = "a call of a response is decided once; require_approval says which tools need none"
    elif approval.asker.session_id is None:
        why = "this approval belongs to no session; decide it once"
    else:
        return
    raise InvalidRequest(f"scope: {why}.", param="scope", code="invalid_value")


def _missing(id_: str) -> ApprovalNotFound:
    return ApprovalNotFound(
        f"There is no approval {id_[:64]!r}, or it was decided long ago.", param="approval_id"
    )
