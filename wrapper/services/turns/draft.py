"""The draft of a turn: a request checked against its model, its key and the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from wrapper.errors import ModelNotFound, PermissionDenied
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.catalog import Catalog
from wrapper.services.json_schema.draft7 import as_draft_7
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.users import with_counted_user
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
    fallbacks: tuple[Draft, ...] = ()

    @cached_property
    def turn(self) -> Turn:
        """The turn of a request without a session. Raises InvalidRequest."""
        return self.build((), None)

    @cached_property
    def other_turns(self) -> tuple[Turn, ...]:
        """The turns of the request's other conversations. Raises InvalidRequest."""
        return tuple(self._with(messages).turn for messages in self.request.others)

    def _with(self, messages: tuple[ChatMessage, ...]) -> Draft:
        """Return the draft of another conversation of the request, also for the other models."""
        request = replace(self.request, messages=messages, others=())
        fallbacks = tuple(draft._with(messages) for draft in self.fallbacks)
        return replace(self, request=request, fallbacks=fallbacks)

    def build(self, before: Sequence[ChatMessage], session: SessionKey | None) -> Turn:
        """Return the turn, which continues the messages *before* it in its *session*."""
        turn = build_turn(
            self.request,
            model=self.model,
            grant=self.grant,
            principal=self.principal,
            before=before,
            session=session,
            thinking=self.thinking,
            strict=self.strict,
        )
        others = tuple((draft.build(before, session), draft.notes) for draft in self.fallbacks)
        return replace(turn, fallbacks=others) if others else turn


def make_draft(
    request: TurnRequest,
    principal: Principal,
    *,
    catalog: Catalog,
    policy: Policy,
    config: ToolConfig,
    strict: bool,
) -> Draft:
    """Return the draft of *request*, in a session with *config*, and of its fallbacks.

    Raises ModelNotFound, PermissionDenied or InvalidRequest. Whether the messages can follow those
    of a session is checked only when the turn is built with them.
    """
    draft_for = partial(
        _draft, principal=principal, catalog=catalog, policy=policy, config=config, strict=strict
    )
    request = with_counted_user(request, principal)
    draft = draft_for(request)
    names = request.fallback_models
    fallbacks = []
    for index, name in enumerate(principal.fallback_models if names is None else names):
        try:
            fallbacks.append(draft_for(replace(request, model=name)))
        except (ModelNotFound, PermissionDenied) as error:
            param = f"claude.fallback_models.{index}"
            raise error.replace(message=f"{param}: {error.message}", param=param) from None
    draft = replace(draft, fallbacks=tuple(fallbacks)) if fallbacks else draft
    if request.session_id is None:
        _ = draft.turn, draft.other_turns  # which checks the messages
    return draft


def _draft(
    request: TurnRequest,
    *,
    principal: Principal,
    catalog: Catalog,
    policy: Policy,
    config: ToolConfig,
    strict: bool,
) -> Draft:
    """Return the draft for the request's own model."""
    choice = catalog.choose(request.model)
    grant = policy.grant(request, choice.model, principal, config)
    if grant.profile == "agent":
        request = _for_agent(request)
    capabilities = catalog.capabilities(choice.model)
    fitted = fit(request, capabilities, strict=strict)
    notes = fitted.notes
    if choice.remapped:
        notes = replace(notes, model_remapped=choice.remapped)
    return Draft(
        fitted.request, choice.model, grant, principal, notes, strict, capabilities.thinking
    )


def _for_agent(request: TurnRequest) -> TurnRequest:
    """Return *request* with its output schema in the draft that Claude Code supports for agents."""
    output_schema = request.output_schema
    if output_schema is None:
        return request
    schema, lost = as_draft_7(output_schema.schema)
    adapted = dict.fromkeys((*request.adapted, *((request.schema_param,) if lost else ())))
    output_schema = replace(output_schema, schema=schema, original=output_schema.exact)
    return replace(request, output_schema=output_schema, adapted=tuple(adapted))
