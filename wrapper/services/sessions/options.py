"""The options: how a session began to be run, which holds for requests that do not say."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from wrapper.services.request import ChatRequest


@dataclass(frozen=True)
class Options:
    """What the first request of a session has set; None stands for what it has not.

    They decide what an agent may do, so a later request that leaves one out must not widen it. What
    a later request sets is for its own turn.
    """

    model: str | None = None
    profile: str | None = None
    appends_system: bool | None = None
    allowed_tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] | None = None
    permission_mode: str | None = None
    max_turns: int | None = None
    compacts: bool | None = None

    def fill(self, request: ChatRequest) -> ChatRequest:
        """Return *request* with these options where it sets none of its own."""
        kept = {
            name: value
            for name, value in vars(self).items()
            if value is not None and getattr(request, name) is None
        }
        profile = request.profile or self.profile or ("plain" if request.wants_plain else None)
        if profile == "plain":  # which has no tools to allow
            kept.pop("allowed_tools", None)
        return replace(request, **kept) if kept else request

    def after(self, later: Options) -> Options:
        """Return what holds after another turn. Once that was plain for any reason, plain stays."""
        return replace(self, profile="plain") if later.profile == "plain" else self


NO_OPTIONS = Options()


def options_of(request: ChatRequest, profile: str) -> Options:
    """Return the options of a turn: what *request* sets, and the *profile* if that was plain."""
    kept = Options(**{one.name: getattr(request, one.name) for one in fields(Options)})
    return replace(kept, profile="plain") if profile == "plain" else kept
