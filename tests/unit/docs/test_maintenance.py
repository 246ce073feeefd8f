"""The commands of docs/maintenance.md: what they back up can be restored."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from redis import Redis

from tests.support.redis_server import RedisServer
from tests.support.server import eventually
from wrapper.auth import key_editor
from wrapper.auth.key_file import KeyFile, hash_of
from wrapper.services.principal import Principal
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Amounts, Row, UsageStore

PAGE = (Path(__file__).parents[3] / "docs" / "maintenance.md").read_text()
SCRIPTS = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
ROW = Row("2026-11-29", "alice", "sonnet", Amounts(requests=1, input=3, nanos=5))


def rows(store: UsageStore) -> list[Row]:
    return store.read("2026-11-01", "2026-11-30")


def run(part: str, cwd: Path, **variables: str) -> None:
    """Run the page's script that has *part* in it."""
    (script,) = (script for script in SCRIPTS if part in script)
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), **variables}
    command = ["sh", "-ec", script]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_usage_database(tmp_path):
    """The backup of a database in use has its last entries, and can take its place."""
    store = SqliteUsageStore(str(tmp_path / ".local/state/claude-code-gateway/usage.db"))
    store.add([ROW])
    run("sqlite3", tmp_path)
    store.add([ROW])
    store.close()
    restored = SqliteUsageStore(str(tmp_path / "usage-backup.db"))
    assert rows(restored) == [ROW]
    restored.close()


def test_redis(tmp_path):
    """By the page's steps a snapshot replaces the data of a Redis with append-only files."""
    (folder := tmp_path / "data").mkdir()
    redis = RedisServer(folder, "--appendonly", "yes").start()
    try:
        _restore_redis(redis, folder, tmp_path)
    finally:
        redis.stop()


def _restore_redis(redis: RedisServer, folder: Path, cwd: Path) -> None:
    store = RedisUsageStore(redis.url)
    store.add([ROW])
    (script,) = (script for script in SCRIPTS if "--rdb" in script)
    command = script.partition("#")[0].replace("HOST", "127.0.0.1").replace("PORT", str(redis.port))
    subprocess.run(["sh", "-ec", command], cwd=cwd, check=True, capture_output=True)
    store.add([ROW])
    store.close()
    redis.stop()

    (folder / "appendonlydir").rename(cwd / "moved-away")
    (cwd / "redis-backup.rdb").rename(folder / "dump.rdb")
    for option in ("no", "yes"):
        restarted = RedisServer(folder, "--appendonly", option).start()
        try:
            restored = RedisUsageStore(restarted.url)
            assert rows(restored) == [ROW]
            restored.close()
            _append(restarted.url)
        finally:
            restarted.stop()


def _append(url: str) -> None:
    """Let Redis write append-only files, and wait until they are complete."""
    with Redis.from_url(url) as client:
        client.config_set("appendonly", "yes")

        def written() -> bool:
            state = client.info("persistence")
            return not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])

        assert eventually(written)


def test_a_key_under_the_same_name(tmp_path):
    """If the hash of another key takes the place of a key's, the limits and the name stay."""
    path = tmp_path / "keys.toml"
    old, new = key_editor.add(path, "alice"), key_editor.add(path, "alice-new")
    key_editor.remove(path, "alice-new")
    text = path.read_text().replace(hash_of(old), hash_of(new))
    path.write_text(f"{text}usd_per_day = 5\n")
    keys = KeyFile(path)
    assert keys.find(new.encode()) == Principal("alice", usd_per_day=5, shares=True)
    assert keys.find(old.encode()) is None


def test_agents_directories(tmp_path):
    """The archive keeps the directories' times, by which the gateway knows which have expired."""
    directory = tmp_path / ".local/state/claude-code-gateway/sessions/some-id"
    directory.mkdir(parents=True, mode=0o700)
    (directory / "note.txt").write_text("Hello.")
    os.utime(directory, (1_000_000_000, 1_000_000_000))
    run("sessions-backup.tar", tmp_path)  # it restores over what is there
    assert directory.stat().st_mtime == 1_000_000_000
    assert (directory / "note.txt").read_text() == "Hello."
