"""Compile rules of URLs and templates once in a process: tests build thousands of equal apps.

Werkzeug compiles a function that builds URLs for each rule of each app, which is most of the time
that a gateway takes to be built. The function depends on nothing but the rule.
"""

from __future__ import annotations

import functools
from typing import Any

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing import Rule


class CompiledTemplates(BytecodeCache):
    """The bytecode of templates, as long as their source does not change."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._compiled:
            bucket.bytecode_from_string(self._compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key] = bucket.bytecode_to_string()


def share() -> None:
    """Let apps share what is compiled for equal rules and templates from now on."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": CompiledTemplates()}
    compile_builder: Any = Rule._compile_builder
    compiled: dict[Any, Any] = {}

    @functools.wraps(compile_builder)
    def compile_once(rule: Rule, append_unknown: bool = True) -> Any:
        key = (rule.rule, *rule._trace, repr(rule.defaults), append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    Rule._compile_builder = compile_once  # type: ignore[assignment,method-assign]
