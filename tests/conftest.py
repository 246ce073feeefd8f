"""Fixtures of the live tests: gateways in front of the scripted upstream, and Redis."""

from __future__ import annotations

import contextlib
import gc
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import hidden_linux  # noqa: F401 - hides it if HIDE_LINUX is set
from tests.support.redis_server import RedisServer
from tests.support.server import Server
from tests.support.session_client import SessionClient
from wrapper import host
from wrapper.testing import Upstream

# Boots are most of what the tests cost, and most of them need no more than this. On a busy machine
# a process may take longer to start than an operator would wait: these are five times the defaults.
LEAN = {
    "POOL_SIZE": "1",
    "POOL_REHEARSE": "false",
    "POOL_RECYCLE": "false",
    "TRIALS": "false",
    "BOOT_TIMEOUT": "150",
    "QUEUE_TIMEOUT": "150",
}

pytest_plugins = ["wrapper.testing.plugin"]


@pytest.fixture(scope="module", autouse=True)
def _leaks() -> Iterator[None]:
    """Collect garbage after each module, so that what it left open fails no other module's test.

    What is left is frozen, which makes later collections cheap.
    """
    gc.freeze()
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory) -> Iterator[None]:
    """Keep files that the gateway stores by default out of your home directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def _start(the_upstream, tmp_path_factory) -> Callable[..., Server]:
    """Return a function that starts a gateway. The caller has to stop it."""
    numbers = itertools.count()

    def start(*arguments: str, **variables: Any) -> Server:
        folder = tmp_path_factory.mktemp(f"server{next(numbers)}")
        return Server(folder, the_upstream.url, *arguments, **{**LEAN, **variables})

    return start


@pytest.fixture(scope="module")
def _servers(_start: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Return a function that starts gateways for a module. They are stopped after it."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, **variables: Any) -> Server:
            server = _start(*arguments, **variables)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def serve(_start: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a gateway with settings of its own, stopped after the test."""
    started: list[Server] = []

    def start(*arguments: str, **variables: Any) -> Server:
        started.append(_start(*arguments, **variables))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@contextlib.contextmanager
def _stopped_after(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def _gateway(_start: Callable[..., Server]) -> Iterator[Server]:
    settings = {"POOL_RECYCLE": "true", "POOL_SIZE": "2", "POOL_SIZE_OTHER": "2"}
    with _stopped_after(_start(**settings)) as server:
        yield server.wait()


@pytest.fixture
def gateway(_gateway: Server, upstream: Upstream) -> Server:
    """A shared gateway with warm processes of both profiles, and an upstream without requests.

    Its processes serve further turns, as by default, which takes a third of the time.
    """
    return _gateway


@pytest.fixture(scope="session")
def _fresh_gateway(_start: Callable[..., Server]) -> Iterator[Server]:
    with _stopped_after(_start(POOL_SIZE="2", POOL_SIZE_OTHER="2")) as server:
        yield server.wait()


@pytest.fixture
def fresh_gateway(_fresh_gateway: Server, upstream: Upstream) -> Server:
    """A shared gateway that starts a process for each turn."""
    return _fresh_gateway


@pytest.fixture(scope="session")
def _remembering(_start: Callable[..., Server]) -> Iterator[Server]:
    sizes = {"POOL_SIZE": "2", "POOL_SIZE_OTHER": "2", "MAX_PARKED": "4"}
    with _stopped_after(_start(LOG_LEVEL="debug", **sizes)) as server:
        yield server.wait()


@pytest.fixture
def remembering(_remembering: Server, upstream: Upstream) -> Server:
    """A shared gateway for sessions. Its log names the process of each turn."""
    return _remembering


@pytest.fixture
def new_session() -> Iterator[Callable[..., SessionClient]]:
    """Return a function that begins a session, which is deleted after the test."""
    sessions: list[SessionClient] = []

    def start(server: Server, profile: str = "plain", **options: Any) -> SessionClient:
        sessions.append(SessionClient(server, profile, **options))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


@pytest.fixture
def background() -> Iterator[Callable[..., Future[Any]]]:
    """Run requests in threads, which end before the test does."""
    with ThreadPoolExecutor(8) as threads:
        yield threads.submit


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[RedisServer]:
    """A Redis that tests share."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark the cases that `make test` leaves out, and run what takes longest first."""
    if not host.LINUX:
        items[:] = [item for item in items if not item.get_closest_marker("linux")]
    for _, cases in itertools.groupby(filter(_has_servers, items), _function):
        _mark_further_cases(list(cases))
    yield
    items.sort(key=lambda item: _weight(item.path), reverse=True)


def _mark_further_cases(cases: list[pytest.Item]) -> None:
    """Mark all cases of one test but the first, unless the test itself says which are thorough."""
    if not any(case.get_closest_marker("thorough") for case in cases):
        for case in cases[1:]:
            case.add_marker("thorough")


def _function(item: pytest.Item) -> tuple[str, str]:
    return str(item.path), getattr(item, "originalname", item.name)


def _has_servers(item: pytest.Item) -> bool:
    return item.path.parent.name in ("live", "faults")


def _weight(path: Path) -> int:
    """Return how long a file's tests take, roughly: a newcomer's most, then what has servers."""
    newcomers = path.name in ("test_readme.py", "test_package.py")
    return newcomers + (path.parent.name in ("live", "faults"))
