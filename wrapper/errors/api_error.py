"""The error that a client may see, and what its parts say to whom."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

from wrapper.notes import NO_NOTES, Notes


class ApiError(Exception):
    """An error that a client may see. It is not changed once it is made; see `replace`.

    *param* is the path of the input at fault (`messages.0.role`). *retry_after* is in seconds.
    *retry* tells the client's library whether to retry automatically. With None, the library
    decides by the status. *headers* are those that HTTP demands, such as Allow. *notes* are what
    else the client learns. *details* are for the operator alone: they may have a local path, or
    what a program wrote. *quote* is the part of the message that a caller or a model may have
    written, and is not logged. Without it, the class's `quotes` says whether they may have written
    any part. `recorded` says whether it is in the log already.
    """

    status = 500
    type = "server_error"
    code: str | None = "internal_error"
    quotes = True

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
        retry: bool | None = None,
        headers: Mapping[str, str] | None = None,
        notes: Notes = NO_NOTES,
        details: str = "",
        quote: str | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.retry_after = retry_after
        self.retry = retry
        self.extra_headers = headers or {}
        self.notes = notes
        self.details = details
        self.quote = quote
        self.recorded = False

    def body(self) -> dict[str, Any]:
        """Return the error in OpenAI's shape, always with all four keys."""
        error = {"message": self.message, "type": self.type}
        return {"error": {**error, "param": self.param, "code": self.code}}

    def redacted(self) -> str:
        """Return the details, or else the message with a length in place of others' words."""
        if self.details:
            return self.details
        quote = (self.message if self.quotes else "") if self.quote is None else self.quote
        if quote not in self.message:
            quote = self.message
        return self.message.replace(quote, f"<{len(quote)} characters>") if quote else self.message

    def relocated(self, locate: Callable[[str], str]) -> Self:
        """Return a copy whose param, and its name in the message, are what *locate* makes of it."""
        if self.param is None or (param := locate(self.param)) == self.param:
            return self.replace(notes=self.notes.relocated(locate))
        message = self.message
        if message.startswith(self.param):
            message = param + message[len(self.param) :]
        return self.replace(param=param, message=message, notes=self.notes.relocated(locate))

    def replace(self, **attributes: Any) -> Self:
        """Return a copy of the error with other values of some *attributes*."""
        error = copy.copy(self)
        for name, value in attributes.items():
            setattr(error, name, value)
        error.args = (error.message,)
        return error
