"""The output items of a response, each with the events by which a stream tells it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import ClassVar, Protocol

from wrapper.json_text import Json
from wrapper.services.fronts.tool_names import ToolName, custom_input, without_surrogates
from wrapper.services.messages.thinking_codec import ThinkingPart, dump_thinking

_OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# The part of a JSON string that can be decoded: no escape or pair of surrogates is cut.
_COMPLETE = re.compile(
    r'(?:[^"\\]'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    r'|\\["\\/bfnrt])*'
)
# No more than this is held back: white space before the string, or an escape or pair that is cut.
_LONGEST_OPENING = 100
_LONGEST_ESCAPE = 12


class OutputItem(Protocol):
    """An item that is being written. Its methods return events without their numbers."""

    kind: ClassVar[str]

    def item(self, status: str) -> Json:
        """Return the item as it is now."""
        ...

    def begin(self) -> Iterable[Json]:
        """Return the events after `response.output_item.added`."""
        ...

    def end(self) -> Iterable[Json]:
        """Return the events before `response.output_item.done`."""
        ...


class MessageItem:
    """A message of the assistant."""

    kind: ClassVar[str] = "message"

    def __init__(self, id_: str, index: int):
        self._id = id_
        self._where = {"item_id": id_, "output_index": index, "content_index": 0}
        self._texts: list[str] = []

    def item(self, status: str) -> Json:
        content = [] if status == "in_progress" else [self._part()]
        shared = {"id": self._id, "type": "message", "role": "assistant", "status": status}
        return {**shared, "content": content}

    def begin(self) -> Iterable[Json]:
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return ({"type": "response.content_part.added", **self._where, "part": part},)

    def add(self, text: str) -> Iterable[Json]:
        self._texts.append(text)
        what = {"type": "response.output_text.delta", **self._where}
        return ({**what, "delta": text, "logprobs": []},)

    def end(self) -> Iterable[Json]:
        part = self._part()
        what = {"type": "response.output_text.done", **self._where}
        yield {**what, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **self._where, "part": part}

    def _part(self) -> Json:
        text = "".join(self._texts)
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class ReasoningItem:
    """The thinking blocks that came in a row, as a summary and in their signed form."""

    kind: ClassVar[str] = "reasoning"

    def __init__(self, id_: str, index: int, *, encrypted: bool):
        self._id = id_
        self._where = {"item_id": id_, "output_index": index, "summary_index": 0}
        self._encrypted = encrypted
        self._texts: list[str] = []
        self.blocks: list[ThinkingPart] = []

    def item(self, status: str) -> Json:
        told = status != "in_progress"
        item = {"id": self._id, "type": "reasoning"}
        summary = [self._part()] if told and self._texts else []
        if told and self._encrypted and self.blocks:
            return {**item, "summary": summary, "encrypted_content": dump_thinking(self.blocks)}
        return {**item, "summary": summary}

    def begin(self) -> Iterable[Json]:
        return ()

    def add(self, text: str) -> Iterable[Json]:
        """Add a text to the summary."""
        first = not self._texts
        self._texts.append(text)
        delta = {"type": "response.reasoning_summary_text.delta", **self._where, "delta": text}
        if not first:
            return (delta,)
        part = {"type": "summary_text", "text": ""}
        added = {"type": "response.reasoning_summary_part.added", **self._where, "part": part}
        return added, delta

    def end(self) -> Iterable[Json]:
        if not self._texts:
            return
        part = self._part()
        what = {"type": "response.reasoning_summary_text.done", **self._where}
        yield {**what, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **self._where, "part": part}

    def _part(self) -> Json:
        return {"type": "summary_text", "text": "".join(self._texts)}


class FunctionCallItem:
    """A call of a function."""

    kind: ClassVar[str] = "function_call"

    def __init__(self, id_: str, index: int, call_id: str, name: ToolName):
        self._id = id_
        self._where = {"item_id": id_, "output_index": index}
        self._call_id = call_id
        self._name = name
        self._arguments: list[str] = []

    @property
    def arguments(self) -> str:
        """Return the arguments that the model has written so far."""
        return "".join(self._arguments)

    def item(self, status: str) -> Json:
        namespace = {"namespace": self._name.namespace} if self._name.namespace else {}
        shared = {"id": self._id, "type": self.kind, "status": status, "call_id": self._call_id}
        return {**shared, "name": self._name.name, **namespace, **self._content()}

    def begin(self) -> Iterable[Json]:
        return ()

    def add(self, arguments: str) -> Iterable[Json]:
        self._arguments.append(arguments)
        what = {"type": "response.function_call_arguments.delta", **self._where}
        return ({**what, "delta": arguments},)

    def end(self) -> Iterable[Json]:
        what = {"type": "response.function_call_arguments.done", **self._where}
        yield {**what, "name": self._name.name, **self._content()}

    def _content(self) -> Json:
        return {"arguments": self.arguments}


class CustomCallItem(FunctionCallItem):
    """A call of a custom tool, whose input the model writes as a string within JSON."""

    kind: ClassVar[str] = "custom_tool_call"

    def __init__(self, id_: str, index: int, call_id: str, name: ToolName):
        super().__init__(id_, index, call_id, name)
        self._decoder = StringDecoder()
        self._shown: list[str] = []

    def add(self, arguments: str) -> Iterable[Json]:
        self._arguments.append(arguments)
        text = self._decoder.add(arguments)
        return (self._delta(text),) if text else ()

    def end(self) -> Iterable[Json]:
        text, shown = custom_input(self.arguments), "".join(self._shown)
        # What has been told stands where the arguments turn out to be no JSON, or have two inputs.
        extends = text.startswith(shown)
        if more := text[len(shown) :] if extends else self._decoder.rest(self.arguments):
            yield self._delta(more)
        what = {"type": "response.custom_tool_call_input.done", **self._where}
        yield {**what, **self._content()}

    def _delta(self, text: str) -> Json:
        self._shown.append(text)
        what = {"type": "response.custom_tool_call_input.delta", **self._where}
        return {**what, "delta": text}

    def _content(self) -> Json:
        return {"input": "".join(self._shown)}


class StringDecoder:
    """Decodes the string in `{"input": "…"}` while it comes in pieces."""

    def __init__(self) -> None:
        self._raw = ""
        self._read = 0
        self._within = False
        self._over = False

    def add(self, piece: str) -> str:
        """Return what *piece* adds to the decoded string."""
        if self._over:
            return ""
        self._raw += piece
        if not self._within:
            opening = _OPENING.match(self._raw)
            if opening is None:
                self._over = len(self._raw) > _LONGEST_OPENING
                return ""
            self._advance(opening.end())
            self._within = True
        complete = _COMPLETE.match(self._raw)
        decodable = complete[0] if complete else ""
        self._advance(len(decodable))
        # The string has ended, or has an escape that JSON does not have.
        self._over = self._raw.startswith('"') or len(self._raw) >= _LONGEST_ESCAPE
        return without_surrogates(json.loads(f'"{decodable}"', strict=False))

    def rest(self, json_text: str) -> str:
        """Return what of the whole *json_text* is in the string and could not be decoded."""
        rest = json_text[self._read :]
        return "" if rest.startswith('"') else rest

    def _advance(self, length: int) -> None:
        self._raw = self._raw[length:]
        self._read += length
