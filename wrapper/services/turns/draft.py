"""The draft of a turn: a request checked against its model, its key and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from wrapper.notes import NO_NOTES, Notes
from wrapper.services.catalog import Catalog
from wrapper.services.json_schema.draft7 import as_draft_7
from wrapper.services.limits.policy import Policy
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Principal
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.tools.config import ToolConfig
from wrapper.services.turn import SessionKey, ThinkingMode, Turn
from wrapper.services.turns.builder import build_turn
from wrapper.services.turns.compatibility import fit


@dataclass(frozen=True)
class Draft:
    """A request as its model supports it. `notes` name what was changed for that."""

    request: TurnRequest
    model: str
    grant: Grant
    principal: Principal
    notes: Notes = NO_NOTES
    strict: bool = False
    thinking: ThinkingMode = "budget"

    @cached_property
    def turn(self) -> Turn:
        """The turn of a request without a session. Raises InvalidRequest."""
        return self.build((), None)

    @cached_property
    def other_turns(self) -> tuple[Turn, ...]:
        """The turns of the request's other conversations. Raises InvalidRequest."""
        requests = (
            replace(self.request, messages=messages, others=()) for messages in self.request.others
        )
        return tuple(replace(self, request=request).turn for request in requests)

    def build(self, before: Sequence[ChatMessage], session: SessionKey | None) -> Turn:
        """Return the turn, which continues the messages *before* it in its *session*."""
        return build_turn(
            self.request,
            model=self.model,
            grant=self.grant,
            principal=self.principal,
            before=before,
            session=session,
            thinking=self.thinking,
            strict=self.strict,
        )


def make_draft(
    request: TurnRequest,
    principal: Principal,
    *,
    catalog: Catalog,
    policy: Policy,
    config: ToolConfig,
    strict: bool,
) -> Draft:
    """Return the draft of *request*, in a session with *config*.

    Raises ModelNotFound, PermissionDenied or InvalidRequest. Whether the messages can follow those
    of a session is checked only when the turn is built with them.
    """
    choice = catalog.choose(request.model)
    grant = policy.grant(request, choice.model, principal, config)
    if grant.profile == "agent":
        request = _for_agent(request)
    capabilities = catalog.capabilities(choice.model)
    fitted = fit(request, capabilities, strict=strict)
    notes = fitted.notes
    if choice.remapped:
        notes = replace(notes, model_remapped=choice.remapped)
    draft = Draft(
        fitted.request, choice.model, grant, principal, notes, strict, capabilities.thinking
    )
    if request.session_id is None:
        _ = draft.turn, draft.other_turns  # which checks the messages
    return draft


def _for_agent(request: TurnRequest) -> TurnRequest:
    """Return *request* with its output schema in the draft that Claude Code supports for agents."""
    output_schema = request.output_schema
    if output_schema is None:
        return request
    schema, lost = as_draft_7(output_schema.schema)
    adapted = dict.fromkeys((*request.adapted, *((request.schema_param,) if lost else ())))
    output_schema = replace(output_schema, schema=schema, original=output_schema.exact)
    return replace(request, output_schema=output_schema, adapted=tuple(adapted))
