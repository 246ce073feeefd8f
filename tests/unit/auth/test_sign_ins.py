"""Sign-ins: a token stands for a key as long as that is valid, and nothing else does."""

import pytest

from tests.support.clock import Clock
from tests.unit.auth.test_guard import Keys
from wrapper.auth.guard import Guard
from wrapper.auth.sign_ins import (
    SECONDS,
    MemorySignInStore,
    RedisSignInStore,
    SignIns,
    SqliteSignInStore,
    open_sign_ins,
)
from wrapper.errors import InvalidApiKey, Unavailable
from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.redis_client import RedisClient
from wrapper.settings import Settings

KEY = "sk-alice"


class Store(MemorySignInStore):
    """A store whose contents a test can read."""

    def __init__(self):
        super().__init__()
        self.texts = {}

    def put(self, id_, text):
        self.texts[id_] = text
        super().put(id_, text)


def sign_ins(store=None, keys=None, **settings):
    keys = keys or Keys(alice=KEY)
    store = store or MemorySignInStore()
    return SignIns(Guard(Settings(**settings), keys), lambda: store, (store,))


def test_holder():
    """The token of a sign-in stands for the key's holder."""
    opened = sign_ins()
    assert opened.holder(opened.open(KEY)).name == "alice"


def test_api_key():
    """API_KEY signs its holder in, too."""
    opened = sign_ins(api_key="sk-own")
    assert opened.holder(opened.open("sk-own")).name == "default"


@pytest.mark.parametrize("key", ["", "sk-other", "sk-alicé", "\udcff"])
def test_wrong_key(key):
    """Another key opens nothing."""
    with pytest.raises(InvalidApiKey):
        sign_ins(api_key="sk-own").open(key)


@pytest.mark.parametrize("token", ["", "x", KEY])
def test_wrong_token(token):
    """What is no token stands for nobody."""
    opened = sign_ins()
    opened.open(KEY)
    assert opened.holder(token) is None


def test_new_token_each_time():
    """Each sign-in has a token of its own, and ends alone."""
    opened = sign_ins()
    first, second = opened.open(KEY), opened.open(KEY)
    assert first != second
    opened.close(first)
    assert opened.holder(first) is None
    assert opened.holder(second).name == "alice"


def test_store_opens_nothing():
    """The store has neither the key, nor its hash, nor the token."""
    store = Store()
    guard = Guard(Settings(), Keys(alice=KEY))
    token = SignIns(guard, lambda: store, (store,)).open(KEY)
    _, key_hash = guard.named("alice") or ("", "")
    kept = str(store.texts)
    assert not any(secret in kept for secret in (KEY, token, key_hash))


def test_revoked_key():
    """A sign-in ends with its key, also if its holder then gets another one."""
    keys = Keys(alice=KEY)
    opened = sign_ins(keys=keys)
    token = opened.open(KEY)
    keys.holders = Keys(alice="sk-new").holders
    assert opened.holder(token) is None
    keys.holders = {}
    assert opened.holder(token) is None


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_end(kind, tmp_path):
    """A sign-in ends after its time, although it is used."""
    clock = Clock()
    file = SqliteSignInStore(str(tmp_path / "usage.db"), clock)
    opened = sign_ins(MemorySignInStore(clock) if kind == "memory" else file)
    token = opened.open(KEY)
    clock.now = SECONDS - 1
    assert opened.holder(token)
    clock.now = SECONDS
    assert opened.holder(token) is None
    file.close()


def test_workers(tmp_path):
    """Without a Redis, several workers share sign-ins by the file of usage; one alone does not."""
    settings = Settings(usage_db=str(tmp_path / "usage.db"), api_key=KEY)
    lifecycles = [Lifecycle() for _ in range(3)]
    for lifecycle in lifecycles[:2]:
        lifecycle.workers = 2
    opened = [open_sign_ins(settings, Guard(settings, None), each) for each in lifecycles]
    token = opened[0].open(KEY)
    assert [bool(each.holder(token)) for each in opened] == [True, True, False]
    assert KEY.encode() not in (tmp_path / "usage.db").read_bytes()
    opened[1].close(token)
    assert opened[0].holder(token) is None
    for each in opened[:2]:
        store = each._current()
        assert isinstance(store, SqliteSignInStore)
        store.close()


def test_room(tmp_path, monkeypatch):
    """The file keeps so many sign-ins; further ones end the oldest."""
    monkeypatch.setattr("wrapper.auth.sign_ins.MOST", 2)
    clock = Clock()
    file = SqliteSignInStore(str(tmp_path / "usage.db"), clock)
    for number in range(3):
        clock.now = number
        file.put(str(number), "x")
    assert [file.read(str(number)) for number in range(3)] == [None, "x", "x"]
    file.close()


def test_broken_file(tmp_path):
    """A file that cannot be used says why, and nobody is signed in."""
    (tmp_path / "usage.db").write_text("no database at all, but long enough to be one" * 20)
    with pytest.raises(Unavailable, match="move the file away"):
        sign_ins(SqliteSignInStore(str(tmp_path / "usage.db"))).holder("x")


def test_redis(redis_server):
    """In Redis, what one worker opens another sees, until a third closes it."""
    clients = [RedisClient(redis_server.url, "REDIS_URL") for _ in range(3)]
    first, second, third = (sign_ins(RedisSignInStore(client)) for client in clients)
    token = first.open(KEY)
    assert second.holder(token).name == "alice"
    third.close(token)
    assert second.holder(token) is None
    for client in clients:
        client.close()


def test_redis_is_away():
    """Without its Redis nobody is signed in, and the reason is said."""
    client = RedisClient("redis://127.0.0.1:1/0", "REDIS_URL")
    with pytest.raises(Unavailable, match="REDIS_URL"):
        sign_ins(RedisSignInStore(client)).holder("x")
    client.close()
