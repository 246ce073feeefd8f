"""The keys file: its contents, who its keys identify, and how it is read again."""

from __future__ import annotations

import contextlib
import errno
import hmac
import logging
import os
import re
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.log_records import messages_of, records_of
from wrapper.auth import key_file
from wrapper.auth.key_file import BROKEN, KeyFile, KeysError, hash_of
from wrapper.schemas.keys import CEILINGS, KeySchema
from wrapper.services.principal import Principal
from wrapper.settings import PERMISSION_MODES, Settings, SettingsError
from wrapper.watched_file import WatchedFile

pytestmark = pytest.mark.packages

KEYS = {name: f"sk-{name}-secret" for name in ("alice", "bob", "carol")}
HASHES = {name: hash_of(key) for name, key in KEYS.items()}


def table(name, *lines):
    return "\n".join((f"[keys.{name}]", f'sha256 = "{HASHES[name]}"', *lines, ""))


def team(*names):
    return "\n".join(table(name) for name in names)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.toml"


@pytest.fixture
def put(path):
    """Return a function that replaces the file, as an editor does."""

    def put(text):
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, path)

    return put


@pytest.fixture
def opened(path, put):
    def opened(text, **settings):
        put(text)
        return KeyFile(path, Settings(**settings))

    return opened


@pytest.fixture
def mistakes_of(opened):
    def mistakes_of(text, **settings):
        with pytest.raises(KeysError) as caught:
            opened(text, **settings)
        return caught.value.mistakes

    return mistakes_of


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('models = ["haiku", "claude-sonnet-*"]', ("haiku", "claude-sonnet-*")),
        ("models = []", ()),
        ('profile = "plain"', "plain"),
        ('profile = "agent"', "agent"),
        ('tools = ["Read", "Grep"]', ("Read", "Grep")),
        ("tools = []", ()),
        ('tools = ["mcp__docs__add"]', ("mcp__docs__add",)),
        ('mcp_servers = ["docs", "dev-*"]', ("docs", "dev-*")),
        ('allowed_tools = ["Edit(/srv/**)"]', ("Edit(/srv/**)",)),
        ('disallowed_tools = ["Bash(curl:*)"]', ("Bash(curl:*)",)),
        ('permission_mode = "plan"', "plan"),
        ("max_turns = 1", 1),
        ("requests_per_minute = 60", 60),
        ("tokens_per_minute = 2147483647", 2147483647),
        ("concurrent_turns = 4", 4),
        ("usd_per_day = 5", 5.0),
        ("usd_per_month = 50.5", 50.5),
        ("admin = true", True),
        ("admin = false", False),
    ],
)
def test_right_values(opened, line, value):
    """Each ceiling is loaded with its value."""
    (principal,) = opened(table("alice", line)).principals()
    loaded = getattr(principal, line.partition(" ")[0])
    assert (loaded, type(loaded)) == (value, type(value))


@pytest.mark.parametrize("mode", PERMISSION_MODES)
def test_every_mode(opened, mode):
    """Every permission mode may be a ceiling; the widest needs ALLOW_BYPASS."""
    file = opened(table("alice", f'permission_mode = "{mode}"'), allow_bypass=True)
    assert file.principals()[0].permission_mode == mode


COUNTS = ("max_turns", "requests_per_minute", "tokens_per_minute", "concurrent_turns")
LISTS = ("models", "tools", "allowed_tools", "disallowed_tools", "mcp_servers")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, value) for name in COUNTS for value in ("0", "-1", "1.0", '"1"', "true", "1e3")),
        *((name, str(2**31)) for name in COUNTS),
        *(
            (name, value)
            for name in ("usd_per_day", "usd_per_month")
            for value in ("0", "0.0", "-0.5", "inf", "nan", '"5"', "true", "1e300", "9" * 400)
        ),
        *(
            (name, value)
            for name in LISTS
            for value in ('"haiku"', "[1]", '[""]', '[" "]', '["a\\nb"]', '["\\u0000"]', '[["a"]]')
        ),
        *(("profile", value) for value in ('""', '"other"', "1", "[]")),
        *(("permission_mode", value) for value in ('"yolo"', "1", '"bypassPermissions"')),
        *(("admin", value) for value in ('"true"', "1", "[]")),
        *(("max_turn", value) for value in ("1", '"x"')),
        ("name", '"alice"'),
        ("shares", "false"),
    ],
)
def test_wrong_values(mistakes_of, field, value):
    """An invalid value or an unknown ceiling is reported by key and field."""
    (mistake,) = mistakes_of(table("alice", f"{field} = {value}"))
    assert mistake.startswith(f"API_KEYS_FILE: keys.alice.{field}: ")
    assert len(mistake) > len(f"API_KEYS_FILE: keys.alice.{field}: ") + 10


@pytest.mark.parametrize(
    "value",
    ['""', '"abc"', f'"{"g" * 64}"', f'"{"a" * 63}"', f'"{"a" * 65}"', "1", f'"{hash_of("")}"'],
)
def test_wrong_hash(mistakes_of, value):
    """An invalid hash, or that of an empty key, is reported and not shown."""
    (mistake,) = mistakes_of(f"[keys.alice]\nsha256 = {value}\n")
    assert mistake.startswith("API_KEYS_FILE: keys.alice.sha256: ")
    assert value == "1" or value == '""' or value.strip('"') not in mistake


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('profile = "plane"', 'did you mean plain? (profile = "plane")'),
        ('permission_mode = "acceptEdit"', 'did you mean acceptEdits? (permission_mode = "ac'),
        ('tools = ["read", "Bash"]', 'did you mean Read? (tools = ["read", "Bash"])'),
        ('disallowed_tools = ["bash(rm:*)"]', "did you mean Bash?"),
        ("max_turn = 1", "did you mean max_turns?"),
        ("max_turns = 0", "(max_turns = 0)"),
        ("usd_per_day = inf", "(usd_per_day = Infinity)"),
    ],
)
def test_values_and_suggestions(mistakes_of, line, part):
    """A mistake shows the wrong value, and what was probably meant."""
    (mistake,) = mistakes_of(table("alice", line))
    assert part in mistake


def test_encodings(path):
    """A byte order mark is accepted; UTF-16 and a NUL are refused with the file's path and line."""
    text = table("alice")
    path.write_bytes(text.encode("utf-8-sig"))
    assert KeyFile(path).names() == ("alice",)
    for data, reason in (
        (text.encode("utf-16"), "line 1: is not UTF-8, but UTF-16; save it as UTF-8"),
        (text.encode() + b"#\xff", f"line {text.count(chr(10)) + 1}: is not UTF-8; save it"),
        (b"[keys]\n#\0", "line 2: holds a NUL character"),
    ):
        path.write_bytes(data)
        with pytest.raises(KeysError, match=re.escape(f"API_KEYS_FILE: {path} {reason}")):
            KeyFile(path)


def test_broken_toml(path, put):
    """A message about broken TOML has the file's path, and the line."""
    put("[keys]\n[keys.alice\n")
    with pytest.raises(KeysError, match=rf"{re.escape(str(path))} is not valid TOML: .*line 2"):
        KeyFile(path)


def test_values_under_wrong_names(mistakes_of):
    """The value under a wrong name, which may be a secret, is not shown."""
    (mistake,) = mistakes_of(table("alice", 'password = "hush-hush"'))
    assert "hush" not in mistake


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('profile = "Plain"', ("profile", "plain")),
        ('permission_mode = "acceptedits"', ("permission_mode", "acceptEdits")),
    ],
)
def test_words_in_any_case(opened, line, value):
    """Words may be in upper and lower case."""
    (principal,) = opened(table("alice", line)).principals()
    assert (value[0], getattr(principal, value[0])) == value


def test_missing_hash(mistakes_of):
    """A missing hash is reported, with how to get one."""
    (mistake,) = mistakes_of("[keys.alice]\nmax_turns = 1\n")
    assert mistake.startswith("API_KEYS_FILE: keys.alice.sha256: ")
    assert "keys new" in mistake


def test_hash_in_capitals(opened):
    """A hash may be in capitals."""
    file = opened(f'[keys.alice]\nsha256 = "{HASHES["alice"].upper()}"\n')
    assert file.find(KEYS["alice"].encode()).name == "alice"


@pytest.mark.parametrize("name", ["local", "default", "a b", "", "-x", "ü", "a" * 65, "a/b"])
def test_wrong_names(mistakes_of, name):
    """A reserved name, or one that cannot be a directory, is refused."""
    (mistake,) = mistakes_of(f'[keys."{name}"]\nsha256 = "{HASHES["alice"]}"\n')
    assert mistake.startswith("API_KEYS_FILE: keys.")


@pytest.mark.parametrize("name", ["alice", "a", "7", "a.b@c.example", "A_b+c-d", "n" * 64])
def test_right_names(opened, name):
    """A name may be an email address."""
    assert opened(f'[keys."{name}"]\nsha256 = "{HASHES["alice"]}"\n').names() == (name,)


def test_one_hash_for_two(mistakes_of):
    """Two names for one key are refused, because the caller would be ambiguous."""
    (mistake,) = mistakes_of(team("alice", "bob").replace(HASHES["bob"], HASHES["alice"]))
    assert mistake.startswith("API_KEYS_FILE: keys.bob.sha256: is the same as that of keys.alice; ")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "lacks the table [keys]"),
        ("# nothing\n", "lacks the table [keys]"),
        ("keys = 1\n", "lacks the table [keys]"),
        ("[[keys]]\n", "lacks the table [keys]"),
        ("[keys]\nalice = 1\n", "keys.alice: Must be a table"),
        ("[keys]\n[others]\nx = 1\n", "others: unknown table"),
        ("[keys.alice]\n[keys.alice]\n", "not valid TOML"),
        ("[keys.alice\n", "line 1"),
    ],
)
def test_wrong_shape(mistakes_of, text, part):
    """A file of another shape is refused; an empty one does not count as no keys."""
    (mistake,) = mistakes_of(text)
    assert mistake.startswith("API_KEYS_FILE: ")
    assert part in mistake


def test_all_mistakes_at_once(mistakes_of):
    """All mistakes are reported together, so that they can be fixed together."""
    text = table("alice", "max_turns = 0", "usd_per_day = 0") + table("bob", "x = 1") + "[y]\n"
    subjects = {mistake.split(": ")[1] for mistake in mistakes_of(text)}
    assert subjects == {"y", "keys.alice.max_turns", "keys.alice.usd_per_day", "keys.bob.x"}


def test_no_keys(opened):
    """A file without keys is valid, and admits nobody."""
    file = opened("[keys]\n")
    assert file.names() == ()
    assert file.find(KEYS["alice"].encode()) is None


def test_missing_file(path):
    """A missing file is a wrong setting; the message names the command that makes it."""
    with pytest.raises(SettingsError, match=r"API_KEYS_FILE: .* does not exist; .*keys new NAME"):
        KeyFile(path)


def test_not_a_file(tmp_path):
    """A directory is refused, and so is a pipe, which could block forever."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeysError, match="not a regular file"):
            KeyFile(path)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('tools = ["bash"]', "'bash'"),
        ('tools = ["Bash(rm:*)"]', "'Bash(rm:*)'"),
        ('tools = ["Read", "Agent"]', "'Agent'"),
        ('disallowed_tools = ["Bash(rm:*)", "bash(rm:*)"]', "'bash(rm:*)'"),
        ('allowed_tools = ["Bash("]', "'Bash('"),
    ],
)
def test_rules_for_no_tool(mistakes_of, line, wrong):
    """A mistyped tool, which would deny or allow nothing, is refused."""
    (mistake,) = mistakes_of(table("alice", line))
    assert mistake.startswith(f"API_KEYS_FILE: keys.alice.{line.partition(' ')[0]}: {wrong}")


def test_rules_that_run_commands(opened, mistakes_of):
    """A rule for Bash needs a setting that confines its commands, or one that confirms it."""
    text = table("alice", 'allowed_tools = ["Bash(git status:*)"]')
    (mistake,) = mistakes_of(text)
    assert "keys.alice.allowed_tools: 'Bash(git status:*)' would run" in mistake
    assert "set CLAUDE_SANDBOX=true, CLAUDE_USER, or ALLOW_UNSANDBOXED_BASH=true" in mistake
    held = opened(text, claude_sandbox=True).principals()[0]
    assert held.allowed_tools == ("Bash(git status:*)",)


def test_tools_of_the_settings(opened):
    """A key may name tools that the settings add, and tools that they leave out."""
    text = table("alice", 'tools = ["Bash", "Agent"]')
    assert opened(text, claude_tools=("Agent",)).principals()[0].tools == ("Bash", "Agent")


def test_server_tools(opened):
    """A key may name tools of the provider that the settings allow, and no others."""
    text = table("alice", 'tools = ["Read", "web_search"]')
    allowed = opened(text, messages_server_tools=("web_search",))
    assert allowed.principals()[0].tools == ("Read", "web_search")
    with pytest.raises(KeysError, match="'web_search' matches no tool"):
        opened(text)


WEBHOOK = 'webhook_secret = "whsec_QUJDREVGR0hRVUpEUkVWR1IwaFFVSkRSRVZHUjBo"'


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ((WEBHOOK,), "webhook_url: is missing"),
        (('webhook_url = "https://a.example/hunter2"',), "webhook_secret: is missing"),
        ((WEBHOOK, 'webhook_url = "http://hunter2@a.example/"'), "webhook_url: must begin with"),
        ((WEBHOOK, 'webhook_url = "https://a.example:x/hunter2"'), "webhook_url: is no URL"),
        ((WEBHOOK, 'webhook_url = "https://a.example/#hunter2"'), "webhook_url: has characters"),
        (("webhook_secret = 'whsec_hunter2'",), "webhook_secret: must be whsec_"),
        (("webhook_secret = 'hunter2QUJDREVGR0hRVUpEUkVWR1IwaFF'",), "webhook_secret: must be"),
    ],
)
def test_wrong_webhooks(mistakes_of, lines, field):
    """A webhook needs a safe URL and a secret; a message about either shows nothing of it."""
    (mistake,) = mistakes_of(table("alice", *lines))
    assert field.lower() in mistake.lower()
    assert "hunter2" not in mistake


def test_private_webhook(opened):
    """The host of a webhook may be without TLS if the settings name it."""
    text = table("alice", WEBHOOK, 'webhook_url = "http://LocalHost:8080/hook"')
    file = opened(text, webhook_private_hosts=("localhost",))
    assert file.principals()[0].webhook_url.endswith(":8080/hook")


def test_schema_is_complete():
    """A key's table can set every ceiling of a principal, and nothing else."""
    schema = KeySchema("x")
    assert set(schema.fields) == {"sha256", *CEILINGS}
    assert set(CEILINGS) == {row.name for row in fields(Principal)} - {"name", "shares"}


@hypothesis_settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(str.encode),
        st.lists(
            st.sampled_from(
                ["[keys.a]", "[keys", "sha256", "=", '"', "[", "{", "]", "\n", "1", "tools", "."]
            ),
            max_size=30,
        ).map(lambda parts: "".join(parts).encode()),
        st.sampled_from([b"x = " + b"[" * 5000, b"[keys]\nx = " + b"9" * 5000]),
    )
)
def test_garbage(tmp_path_factory, content):
    """Any content is loaded, or refused with KeysError."""
    path = tmp_path_factory.mktemp("garbage") / "keys.toml"
    path.write_bytes(content)
    with contextlib.suppress(KeysError):
        assert KeyFile(path).find(b"") is None


def test_found(opened):
    """A key identifies its holder, with ceilings, who shares the gateway with others."""
    file = opened(team("alice") + table("bob", "max_turns = 3") + team("carol"))
    assert file.find(KEYS["bob"].encode()) == Principal("bob", shares=True, max_turns=3)
    assert file.names() == ("alice", "bob", "carol")


@pytest.mark.parametrize(
    "sent", [b"", HASHES["alice"].encode(), KEYS["alice"][:-1].encode(), b"\xff\x00", b"sk-"]
)
def test_not_found(opened, sent):
    """Nothing else is a key, not even a hash in the file."""
    assert opened(team("alice", "bob")).find(sent) is None


@pytest.mark.parametrize("sent", [*KEYS.values(), "wrong", ""])
def test_every_key_is_compared(opened, monkeypatch, sent):
    """A sent key is always compared with all keys."""
    file = opened(team(*KEYS))
    compared = []

    def compare(known, digest):
        compared.append(known)
        return known == digest

    monkeypatch.setattr(hmac, "compare_digest", compare)
    file.find(sent.encode())
    assert compared == list(HASHES.values())


def test_read_again(opened, put):
    """A change of the file takes effect at once."""
    file = opened(team("alice"))
    put(team("bob"))
    assert file.find(KEYS["alice"].encode()) is None
    assert file.find(KEYS["bob"].encode()).name == "bob"


def test_read_again_in_place(opened, path):
    """A change is noticed that keeps the file's size, inode and modification time."""
    file = opened(team("alice"))
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # its clock is coarse
        path.write_text(team("alice").replace(HASHES["alice"], HASHES["carol"]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert file.find(KEYS["carol"].encode())
    assert file.find(KEYS["alice"].encode()) is None


def test_read_once(opened, put, monkeypatch):
    """A file that has not changed is not read again."""
    file = opened(team("alice"))
    monkeypatch.setattr(Path, "read_bytes", None)
    assert file.find(KEYS["alice"].encode())
    assert file.error is None


def test_broken_later(opened, put, caplog):
    """While the file is broken the previous keys stay valid, which is logged once."""
    file = opened(team("alice"))
    for text in ("[keys.alice\n", "", table("alice", "max_turn = 1")):
        put(text)
        for _ in range(3):
            assert file.find(KEYS["alice"].encode()).name == "alice"
        assert file.error == BROKEN
    errors = [
        record.getMessage()
        for record in records_of(caplog, WatchedFile)
        if record.levelname == "ERROR"
    ]
    assert len(errors) == 3
    assert all("the previous keys stay valid: API_KEYS_FILE: " in line for line in errors)
    assert "keys.alice.max_turn: " in errors[2]


def test_each_change_is_logged(opened, put, caplog):
    """A file that changes and is broken in the same way is logged again."""
    file = opened(team("alice"))
    for _ in range(2):
        put("[keys.alice\n")
        assert file.error
    assert len(records_of(caplog, WatchedFile)) == 2


def test_repaired(opened, put, path, caplog):
    """A file that was missing or broken is used again once repaired, without a restart."""
    caplog.set_level(logging.INFO)
    file = opened(team("alice"))
    for spoil in (path.unlink, lambda: put("x")):
        spoil()
        assert file.error == BROKEN
        assert file.find(KEYS["alice"].encode())
        put(team("bob"))
        assert file.error is None
        assert file.names() == ("bob",)
        put(team("alice"))
        assert file.names() == ("alice",)
    levels = [record.levelname for record in records_of(caplog, WatchedFile)]
    assert levels.count("ERROR") == 2
    assert messages_of(caplog, WatchedFile)[-1] == "API_KEYS_FILE has changed, 1 keys are valid now"


def test_unreadable_for_a_while(opened, put, monkeypatch, caplog):
    """A file that could not be opened is tried again, and logged once."""
    file = opened(team("alice"))
    put(team("bob"))

    def fail(path):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        assert file.names() == file.names() == ("alice",)
    assert file.names() == ("bob",)
    assert file.error is None
    (message,) = messages_of(caplog, WatchedFile)
    assert "Too many open files" in message


def test_one_thread_reads(opened, put, monkeypatch):
    """While one thread reads a change, the others wait, so that none accepts a revoked key."""
    file = opened(team("alice"))
    put(team("bob"))
    reading, go_on = threading.Event(), threading.Event()
    reads, holders = [], []
    real = key_file.read

    def slow(path):
        reads.append(path)
        reading.set()
        assert go_on.wait(10)
        return real(path)

    monkeypatch.setattr(key_file, "read", slow)
    threads = [
        threading.Thread(target=lambda: holders.append(file.find(KEYS["alice"].encode())))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert reading.wait(10)
    threads[-1].join(0.1)
    assert holders == []
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert holders == [None] * 4
    assert len(reads) == 1


def test_path_stays(path, put, monkeypatch, tmp_path):
    """A relative path stays relative to the directory where the gateway started."""
    put(team("alice"))
    monkeypatch.chdir(tmp_path)
    file = KeyFile(path.name)
    monkeypatch.chdir("/")
    put(team("bob"))
    assert file.names() == ("bob",)


SECRETS = ("sk-abcdefghijklmnop", HASHES["bob"], HASHES["bob"].upper())


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "text",
    [
        '[keys.{0}]\nsha256 = "x"\n',
        '[keys."a {0}"]\n',
        '[keys."\\n{0}"]\n',
        '[keys]\n"{0}" = 1\n',
        '[keys.alice]\n"{0}" = 1\n',
        '[keys.alice]\n"{1}{0}" = 1\n',
        '[keys.alice]\nsha256 = "x{0}"\n',
        '[keys.alice]\nsha256 = "{0}" x\n',
        '[keys.alice]\nprofile = "{0}"\npermission_mode = "{0}"\nmodels = "{0}"\nadmin = "{0}"\n',
        '[keys.alice]\nmax_turns = "{0}"\nusd_per_day = "{0}"\n',
        "[keys.{0}]\n[keys.{0}]\n",
        "[keys]\n[{0}]\n",
        "{0}\n",
    ],
)
def test_no_secret_in_messages(mistakes_of, path, put, caplog, secret, text):
    """No message contains a key or hash, wherever it is in a broken file."""
    text = text.format(secret, "a" * 59 + "-")
    messages = "\n".join(mistakes_of(text))
    put(team("alice"))
    file = KeyFile(path)
    put(text)
    messages += file.error + caplog.text
    for part in (secret, secret[:16], repr(secret)):
        assert part.lower() not in messages.lower()


def test_no_secret_is_logged(opened, put, caplog):
    """No log level logs a hash or a sent key."""
    caplog.set_level(logging.DEBUG)
    file = opened(team("alice"))
    put(team("alice", "bob"))
    file.find(KEYS["bob"].encode())
    file.find(b"sk-unknown")
    assert "2 keys" in caplog.text
    for secret in (*KEYS.values(), *HASHES.values(), "sk-unknown", hash_of("sk-unknown")):
        assert secret not in caplog.text
