"""Users below a key: who they are, however a request names them."""

from __future__ import annotations

import json

import pytest

from wrapper.errors import InvalidRequest
from wrapper.services.limits.users import user_of
from wrapper.services.principal import UNNAMED, Principal
from wrapper.services.request import TurnRequest

SHOP = Principal("shop", user_usd_per_day=1)
OLD = "user_" + "0f" * 32 + "_account_{0}_session_{1}"
IDS = ("12b5c1c0-0000-4000-8000-000000000000", "99b5c1c0-0000-4000-8000-000000000000")


def id_of(identifier, key=SHOP):
    return user_of(TurnRequest((), user=identifier), key).user


def test_a_hash():
    """A user's id is a short hash, which differs by key; nothing of the identifier is in it."""
    for identifier in ("ann@example.com", "x" * 10**6, "\ud800"):
        assert len(id_of(identifier)) == 32
    assert id_of("ann") == id_of("ann") != id_of("ben")
    assert id_of("ann") != id_of("ann", Principal("other", user_usd_per_day=1))
    assert id_of("") == UNNAMED != id_of(UNNAMED)


def test_sessions_of_claude_code():
    """All sessions of Claude Code on one device are one user."""
    old = [OLD.format(account, session) for account in IDS for session in IDS]
    new = [
        json.dumps({"device_id": device, "session_id": session})
        for device in IDS
        for session in IDS
    ]
    for texts in (old, new):
        assert len({id_of(text) for text in texts}) == 2


@pytest.mark.parametrize("text", ["{", "{}", "{" * 999, '{"a":' * 150, "user_1_session_2"])
def test_other_identifiers(text):
    """Whatever else an identifier is, it is one."""
    assert id_of(text) not in (UNNAMED, id_of("ann"))


@pytest.mark.parametrize("param", ["safety_identifier", "user", "metadata.user_id"])
def test_a_key_that_requires_a_user(param):
    """A key may refuse requests that name nobody, and says where to name a user."""
    strict = Principal("shop", requires_user=True)
    assert user_of(TurnRequest((), user="ann", user_param=param), strict).user != UNNAMED
    with pytest.raises(InvalidRequest) as caught:
        user_of(TurnRequest((), user_param=param), strict)
    assert (caught.value.param, caught.value.code) == (param, "missing_required_parameter")
    assert "requires_user" in caught.value.message
