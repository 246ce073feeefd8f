"""The options: how a session is run, as its requests have set it; each holds until it is reset."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from wrapper.services.conversation import ChatRequest


@dataclass(frozen=True)
class Options:
    """What the requests of a session have set so far; None stands for what none of them has set.

    They decide what an agent may do, so a request that leaves one out must not widen it.
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


def options_of(request: ChatRequest, profile: str) -> Options:
    """Return what a session keeps of *request*, which ran with *profile*.

    A turn that was plain for any reason keeps the session plain.
    """
    kept = Options(**{one.name: getattr(request, one.name) for one in fields(Options)})
    return replace(kept, profile="plain") if profile == "plain" else kept
