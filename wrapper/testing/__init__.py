"""Helpers for tests: a scripted upstream as strict as the real one, an engine, and contracts."""

from wrapper.testing.engine import ScriptedEngine
from wrapper.testing.engine_contract import check_engine, say
from wrapper.testing.response_store_contract import check_response_store
from wrapper.testing.store_contract import check_session_store
from wrapper.testing.upstream import Upstream

__all__ = [
    "ScriptedEngine",
    "Upstream",
    "check_engine",
    "check_response_store",
    "check_session_store",
    "say",
]
