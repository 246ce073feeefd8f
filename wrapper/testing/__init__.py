"""What tests need: a scripted upstream, as strict as the real one, and the contracts."""

from wrapper.testing.contracts import check_session_store

__all__ = ["check_session_store"]
