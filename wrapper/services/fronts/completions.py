"""The presenter of OpenAI's older completions API: writes a run's events as a text_completion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from wrapper.errors import ApiError
from wrapper.ids import new_id
from wrapper.json_text import Json
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.events import Ended, Noted, Started, TextDelta
from wrapper.services.fronts.chat import FINISH_REASONS, build_usage
from wrapper.services.fronts.presenter import Items
from wrapper.services.request import TurnRequest


@dataclass(frozen=True)
class CompletionRequest:
    """A valid request: the request to run, and the prompts to repeat before their answers."""

    request: TurnRequest
    echoed: tuple[str, ...] = ()


def locate(path: str) -> str:
    """Return the path in this API for one in chat completions."""
    return "prompt" if path.partition(".")[0] == "messages" else path


@dataclass
class _Choice:
    texts: list[str] = field(default_factory=list)
    ended: Ended | None = None
    notes: Notes = NO_NOTES

    @property
    def reason(self) -> str | None:
        return FINISH_REASONS[self.ended.ending] if self.ended else None


class CompletionsPresenter:
    """Writes one completion, with `n` choices for the first prompt, then for the next.

    *name_notes* returns notes by the names that they have in this API.
    """

    def __init__(self, asked: CompletionRequest, name_notes: Callable[[Notes], dict[str, str]]):
        request = asked.request
        self._head = {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
        }
        self._name_notes = name_notes
        self._model = request.model or ""
        self._include_usage = request.include_usage
        self._choices = [_Choice() for _ in range(request.answers)]
        self._echoed = [prompt for prompt in asked.echoed for _ in range(request.n)]

    def whole(self, items: Items) -> Json:
        """Return the whole text_completion, once *items* have ended."""
        for _ in self.chunks(items):
            pass
        choices = [
            _choice(index, "".join(choice.texts), choice.reason)
            for index, choice in enumerate(self._choices)
        ]
        return {**self._body(choices), "usage": self._usage()}

    def chunks(self, items: Items) -> Iterator[Json | None]:
        """Yield the chunks of a streamed completion as *items* come, and None for each None.

        The last chunk of a choice has `notes`, as in chat completions.
        """
        for item in items:
            if item is None:
                yield None
                continue
            index, event = item
            match event:
                case Started():
                    self._model = event.model
                    for prompt in self._echoed[index : index + 1]:
                        yield self._add(index, prompt)
                case TextDelta():
                    yield self._add(index, event.text)
                case Noted():
                    self._choices[index].notes |= event.notes
                case Ended():
                    self._choices[index].ended = event
                    yield self._last(index)
        if self._include_usage:
            yield {**self._body([]), "usage": self._usage()}

    def failure(self, error: ApiError) -> Json:
        """Return the error in OpenAI's shape."""
        return error.relocated(locate).body()

    def keepalive(self) -> None:
        """Return None: this API's clients accept comments."""

    def _add(self, index: int, text: str) -> Json:
        self._choices[index].texts.append(text)
        return self._chunk([_choice(index, text, None)])

    def _last(self, index: int) -> Json:
        """Return the last chunk of a choice."""
        choice = self._choices[index]
        chunk = self._chunk([_choice(index, "", choice.reason)])
        return {**chunk, "notes": self._name_notes(choice.notes)} if choice.notes else chunk

    def _chunk(self, choices: Iterable[Json]) -> Json:
        chunk = self._body(choices)
        return {**chunk, "usage": None} if self._include_usage else chunk

    def _body(self, choices: Iterable[Json]) -> Json:
        return {**self._head, "model": self._model, "choices": list(choices)}

    def _usage(self) -> Json:
        return build_usage(choice.ended for choice in self._choices if choice.ended)


def _choice(index: int, text: str, reason: str | None) -> Json:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}
