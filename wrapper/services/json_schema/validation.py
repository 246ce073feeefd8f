"""Check callers' JSON Schemas, and whether an answer fits one.

Schemas are not trusted: references may not lead out of them, and every check runs in a child
process with a limit of CPU time.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import Any

from cachetools import LRUCache, cached

from wrapper.errors import SchemaTooCostly
from wrapper.json_text.precision import write_exact
from wrapper.services.background.offload.runner import Exceeded, Job, offload
from wrapper.services.background.offload.server import MEMORY
from wrapper.services.turn import OutputSchema

MOST_BYTES = 256 * 1024
COMPILE_SECONDS = 0.25
CHECK_SECONDS = 1.0

TOO_COSTLY = (
    f"takes more than {{}} s of CPU time or {MEMORY // 1024**2} MiB of memory to check; "
    "make it smaller or simpler"
)


def what_is_wrong(schema: Mapping[str, Any]) -> str | None:
    """Return why no answer can be checked against *schema*, or None if one can.

    Raises ChecksBusy if too many costly checks run.
    """
    try:
        return _compiled(_text(schema))
    except RecursionError:
        return "is not a valid JSON Schema: it is nested too deeply"


def misfit(output_schema: OutputSchema, text: str, *, param: str = "response_format") -> str | None:
    """Return why *text*, an answer, does not fit *output_schema*, or None if it does.

    Raises SchemaTooCostly, which names *param*, if the check exceeds its limit, and ChecksBusy if
    too many costly checks run.
    """
    schema = _text(output_schema.exact)
    body = schema + text.encode(errors="surrogatepass")
    try:
        result: str | None = offload.run(
            Job("check", body, CHECK_SECONDS, options={"size": len(schema)})
        )
    except Exceeded:
        raise SchemaTooCostly(
            f"{param}: the schema {output_schema.name!r} {TOO_COSTLY.format(CHECK_SECONDS)}. "
            "The model has answered, but whether the answer fits the schema is not known.",
            param=param,
            retry=False,
        ) from None
    return result


def _text(schema: Mapping[str, Any]) -> bytes:
    return write_exact(schema).encode()


# Programs send the same schemas with each request, and a check takes 0.5 to 40 ms.
@cached(LRUCache(1024), key=lambda text: sha256(text).digest(), lock=Lock())
def _compiled(schema: bytes) -> str | None:
    """Return why *schema* cannot be used, or None if it can."""
    if len(schema) > MOST_BYTES:
        return f"has {len(schema)} bytes as JSON, and {MOST_BYTES} is the most"
    try:
        reason = offload.run(Job("compile", schema, COMPILE_SECONDS))
    except Exceeded:
        return TOO_COSTLY.format(COMPILE_SECONDS)
    return reason and f"is not a valid JSON Schema: {reason}"
