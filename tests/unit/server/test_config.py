"""gunicorn's settings: what several workers need."""

import pytest

from wrapper.server.config import reasons_for_one_worker
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

REDIS = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["SESSION_STORE"]),
        ({"api_keys_file": "keys.toml"}, ["SESSION_STORE", "REDIS_URL"]),
        ({"session_store": "none"}, []),
        ({"session_store": REDIS}, []),
        ({"session_store": REDIS, "api_keys_file": "keys.toml"}, ["REDIS_URL"]),
        ({"session_store": REDIS, "api_keys_file": "keys.toml", "redis_url": REDIS}, []),
    ],
)
def test_several_workers(settings, names):
    """Several workers are refused if they would not share sessions or rates."""
    reasons = reasons_for_one_worker(Settings(**settings))
    assert [reason.partition(":")[0] for reason in reasons] == names
