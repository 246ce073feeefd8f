"""The server's settings: what several workers need."""

import pytest

from wrapper.server.config import against_workers
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

REDIS = "redis://127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, ["SESSION_STORE"]),
        ({"api_keys_file": "keys.toml"}, ["SESSION_STORE", "REDIS_URL"]),
        ({"session_store": "none"}, []),
        ({"session_store": REDIS}, []),
        ({"session_store": REDIS, "api_keys_file": "keys.toml"}, ["REDIS_URL"]),
        ({"session_store": REDIS, "api_keys_file": "keys.toml", "redis_url": REDIS}, []),
    ],
)
def test_several_workers(settings, named):
    """Several workers are refused where one of them would keep to itself what all must know."""
    assert [reason.partition(":")[0] for reason in against_workers(Settings(**settings))] == named
