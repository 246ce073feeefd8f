"""The key editor: it adds and removes keys, and leaves the rest of the file as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest

from wrapper.auth import key_editor, key_text
from wrapper.auth.key_file import KeyFile, KeysError, hash_of
from wrapper.schemas.keys import CEILINGS
from wrapper.services.tools.config import ToolConfig
from wrapper.settings import Settings

HASHES = {name: hash_of(name) for name in ("alice", "bob", "carol")}
TEAM = """# the team

# Alice, of sales
[keys.alice]
sha256 = "{alice}"   # made in May
models = [
    "haiku",  # the cheap one
]

# Bob
[keys.bob]
# as long as he is here
sha256 = "{bob}"

# Carol
[keys.carol]
sha256 = '{carol}'
# the end
""".format(**HASHES)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.toml"


@pytest.fixture
def team(path):
    path.write_text(TEAM)
    return path


def name_of(file, key):
    principal = file.find(key.encode())
    return principal and principal.name


def refusal(function, *arguments):
    with pytest.raises(KeysError) as caught:
        function(*arguments)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith("API_KEYS_FILE: ")
    return mistake


def test_limit(team):
    """Ceilings replace those of one key; its hash, its config, and the rest of the file stay."""
    key_editor.configure(team, "bob", {"max_turns": 2})
    before = team.read_text()
    key_editor.limit(team, "alice", {"models": ["opus"], "usd_per_day": 2.5})
    alice, bob, _ = KeyFile(team).principals()
    assert (alice.models, alice.usd_per_day) == (("opus",), 2.5)
    assert bob.config == ToolConfig(max_turns=2)
    comments = re.findall("#.*", before)
    kept = re.findall("#.*", team.read_text())
    assert kept == [one for one in comments if one != "# the cheap one"]
    key_editor.limit(team, "alice", {})
    assert KeyFile(team).principals()[0].models is None


CHANGES = [
    (key_editor.limit, {"max_turns": 7}),
    (key_editor.configure, {"max_turns": 7}),
    (key_editor.configure, {}),
    (key_editor.set_webhook, "https://alice.example.com/hook"),
]


@pytest.mark.parametrize("table", ["", "\n[keys.alice.config]\nmax_turns = 3\n"])
@pytest.mark.parametrize(("change", "value"), CHANGES)
def test_comments_of_the_next_key(path, table, change, value):
    """What a key gets stands above the next key's comments, which stay when it is removed."""
    path.write_text(TEAM.replace("\n# Bob", f"{table}\n# Bob"))
    change(path, "alice", value)
    assert "\n# Bob\n[keys.bob]\n" in path.read_text()
    key_editor.remove(path, "alice")
    assert "\n# Bob\n[keys.bob]\n" in path.read_text()


def test_limit_nobody(team):
    """A name that has no key is refused, and nothing changes."""
    assert "no key has that name" in refusal(key_editor.limit, team, "dave", {"max_turns": 1})
    assert team.read_text() == TEAM


def test_new_key(path):
    """A new key is valid, and the file does not contain it."""
    key = key_editor.add(path, "alice")
    assert re.fullmatch(r"sk-[\w-]{43}", key)
    assert name_of(KeyFile(path), key) == "alice"
    assert key not in path.read_text()
    assert key[3:] not in path.read_text()


def test_secret(path):
    """The caller can give the secret; by default each is different."""
    assert key_editor.add(path, "alice", lambda: "from-here") == "sk-from-here"
    assert key_editor.add(path, "bob") != key_editor.add(path, "carol")


def test_new_file(tmp_path):
    """Only its owner can read a new file, which explains the ceilings."""
    path = tmp_path / "etc" / "gateway" / "keys.toml"
    before = os.umask(0)
    try:
        key_editor.add(path, "alice")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    for name, meaning in CEILINGS.items():
        assert any(re.fullmatch(rf"#   {name} +{re.escape(meaning)}", line) for line in lines)
    assert os.listdir(path.parent) == ["keys.toml"]


def test_empty_file(path):
    """An empty file is filled like a new one."""
    path.touch()
    key_editor.add(path, "alice")
    assert path.read_text().startswith(key_editor.head())


@pytest.mark.parametrize("text", [TEAM, TEAM.replace("\n", "\r\n"), TEAM.rstrip("\n")])
def test_adding_keeps_the_rest(path, text):
    """Adding a key changes no byte before it."""
    path.write_text(text, newline="")
    key_editor.add(path, "d.ave@example")
    assert path.read_bytes().startswith(text.encode())
    assert KeyFile(path).names() == ("alice", "bob", "carol", "d.ave@example")


@pytest.mark.parametrize("name", ["alice", "bob", "carol"])
def test_removing_keeps_the_rest(team, name):
    """Removing a key removes its table, and no other line and no comment above."""
    table = TEAM[TEAM.index(f"[keys.{name}]") :].partition("\n\n")[0].removesuffix("# the end\n")
    key_editor.remove(team, name)
    assert HASHES[name] in table
    assert team.read_text() == TEAM.replace(table.rstrip() + "\n", "")


def test_removing_what_was_added(team):
    """Adding and removing a key leaves the text, except for an empty line at the end."""
    key_editor.add(team, "dave")
    key_editor.remove(team, "dave")
    assert team.read_text().rstrip() == TEAM.rstrip()


def test_last_key(team):
    """Without its last key the file is valid, and admits nobody."""
    file = KeyFile(team)
    for name in HASHES:
        key_editor.remove(team, name)
    assert (file.error, file.names()) == (None, ())
    key = key_editor.add(team, "alice")
    assert name_of(file, key) == "alice"
    assert "# the team\n" in team.read_text()


@pytest.mark.parametrize(
    "text",
    [
        'keys = {{ alice = {{ sha256 = "{alice}" }}, bob = {{ sha256 = "{bob}" }} }}\n',
        'keys.alice.sha256 = "{alice}"\nkeys.bob.sha256 = "{bob}"\n',
        '[keys]\nalice.sha256 = "{alice}"\nbob = {{ sha256 = "{bob}", max_turns = 3 }}\n',
        '[keys]\nalice = {{ sha256 = "{alice}" }}\n[keys.bob]\nsha256 = "{bob}"\n',
        '[keys.bob]\nsha256 = """{bob}"""\n[keys."alice"]\nsha256 = "{alice}"\n[keys]\n',
    ],
)
@pytest.mark.parametrize(
    ("change", "name"), [(key_editor.add, "carol"), (key_editor.remove, "alice")]
)
def test_other_layouts(path, text, change, name):
    """Other layouts are changed correctly, or refused with what to do."""
    text = text.format(**HASHES)
    path.write_text(text)
    before = tomllib.loads(text)["keys"]
    try:
        change(path, name)
    except KeysError as error:
        mistakes = error.mistakes
        assert path.read_text() == text
        assert "write each as [keys.NAME]" in mistakes[0]
        return
    after = tomllib.loads(path.read_text())["keys"]
    assert {*before} ^ {*after} == {name}
    assert all(after[other] == before[other] for other in {*before} & {*after})


@pytest.mark.parametrize("text", ["", "[keys", "[keys]\n", TEAM, TEAM + "[keys.dave]\nx = 1\n"])
def test_wrong_edit(team, monkeypatch, text):
    """A text without the intended keys never replaces the file."""
    monkeypatch.setattr(key_text, "with_key", lambda *_: text)
    assert "write each as [keys.NAME]" in refusal(key_editor.add, team, "dave")
    assert team.read_text() == TEAM


@pytest.mark.parametrize("name", ["default", "local", "a b", "", "../x", "sk-abcdef", "a\nb"])
def test_invalid_names(path, name):
    """An invalid name is refused, and no file is made for it."""
    refusal(key_editor.add, path, name)
    assert not path.exists()


def test_taken_and_unknown_names(team):
    """A taken name cannot be added, and an unknown one cannot be removed."""
    assert "revoke it, or choose another" in refusal(key_editor.add, team, "alice")
    assert "keys list" in refusal(key_editor.remove, team, "dave")
    assert team.read_text() == TEAM


@pytest.mark.parametrize("text", ["[keys", "x = 1\n", "[keys.alice]\nsha256 = 'x'\n"])
@pytest.mark.parametrize("change", [key_editor.add, key_editor.remove])
def test_broken_file(path, text, change):
    """A broken file is reported and left as it is."""
    path.write_text(text)
    refusal(change, path, "bob")
    assert path.read_text() == text


def test_no_file_to_remove_from(tmp_path):
    """Removing a key from a missing file fails, and makes no file."""
    assert "does not exist" in refusal(key_editor.remove, tmp_path / "keys.toml", "alice")
    assert "make sure that" in refusal(key_editor.remove, tmp_path / "away" / "keys.toml", "alice")
    assert not list(tmp_path.iterdir())


def test_unusable_directory(tmp_path):
    """If the file cannot be made, the error says what to do."""
    (tmp_path / "file").touch()
    assert "cannot be changed" in refusal(key_editor.add, tmp_path / "file" / "keys.toml", "alice")


def test_mode_stays(team):
    """The file keeps its mode, because the gateway may run as another user of its group."""
    team.chmod(0o640)
    key_editor.add(team, "dave")
    key_editor.remove(team, "alice")
    assert team.stat().st_mode & 0o777 == 0o640


def test_owner_stays(team, monkeypatch):
    """The file keeps its owner and group if another user runs the command."""
    owners = []
    monkeypatch.setattr(os, "fchown", lambda descriptor, user, group: owners.append((user, group)))
    key_editor.add(team, "dave")
    assert owners == [(team.stat().st_uid, team.stat().st_gid)]


def test_link_stays(team, tmp_path):
    """A link to the file stays, and its target is changed."""
    link = tmp_path / "link" / "keys.toml"
    link.parent.mkdir()
    link.symlink_to("../keys.toml")
    key_editor.add(link, "dave")
    key_editor.remove(link, "alice")
    assert link.is_symlink()
    assert KeyFile(team).names() == ("bob", "carol", "dave")
    assert os.listdir(link.parent) == ["keys.toml"]


def test_failed_change_leaves_nothing(team, monkeypatch, tmp_path):
    """A failed change leaves the old file and no other one."""

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert "No space left" in refusal(key_editor.add, team, "dave")
    assert team.read_text() == TEAM
    assert os.listdir(tmp_path) == ["keys.toml"]


def test_commands_at_once(path):
    """Several processes can add keys at once without losing one."""
    script = (
        "import sys; from wrapper.auth import key_editor; sys.stdin.read();"
        "[key_editor.add(sys.argv[1], f'{sys.argv[2]}.{i}') for i in range(8)]"
    )
    gate, hold = os.pipe()
    processes = [
        subprocess.Popen([sys.executable, "-c", script, path, f"p{n}"], stdin=gate)
        for n in range(4)
    ]
    os.close(gate)
    os.close(hold)  # so that all of them start at once
    assert [process.wait(120) for process in processes] == [0] * 4
    assert sorted(KeyFile(path).names()) == [f"p{n}.{i}" for n in range(4) for i in range(8)]


def test_reader_sees_whole_files(team):
    """A gateway that keeps reading never sees a half-written file."""
    file = KeyFile(team)
    script = (
        "import sys; from wrapper.auth import key_editor;"
        "[f(sys.argv[1], 'dave') for _ in range(20) for f in (key_editor.add, key_editor.remove)]"
    )
    process = subprocess.Popen([sys.executable, "-c", script, team])
    while process.poll() is None:
        assert name_of(file, "alice") == "alice"
        assert file.error is None
    assert process.returncode == 0


@pytest.mark.parametrize("change", [key_editor.add, key_editor.remove])
def test_refusals_hold_no_secret(team, change):
    """Refusals contain neither hashes nor a name that may be a key."""
    secret = "sk-" + "x" * 43
    messages = refusal(change, team, secret)
    team.write_text(TEAM + "[keys.dave]\nmax_turns = 0\n")
    with pytest.raises(KeysError) as caught:
        change(team, "erin")
    messages += str(caught.value)
    assert not any(hidden in messages for hidden in (secret, *HASHES.values()))


def test_configure(path):
    """A key's tool config is set, replaced and removed, and the rest of the text stays."""
    path.write_text(TEAM)
    key_editor.configure(path, "bob", {"max_turns": 2, "allowed_tools": ["Read"]})
    assert tomllib.loads(path.read_text())["keys"]["bob"]["config"] == {
        "max_turns": 2,
        "allowed_tools": ["Read"],
    }
    key_editor.configure(path, "bob", {"permission_mode": "plan"})
    holders = {holder.name: holder for holder in KeyFile(path).principals()}
    assert holders["bob"].config == ToolConfig(permission_mode="plan")
    assert holders["alice"].config is None
    for comment in ("# the team", "# as long as he is here", "# Carol", "# the end"):
        assert comment in path.read_text()
    key_editor.configure(path, "bob", {})
    assert tomllib.loads(path.read_text()) == tomllib.loads(TEAM)
    with pytest.raises(KeysError, match="no key has that name"):
        key_editor.configure(path, "dave", {})


URL = "https://alice.example.com/hook"


def test_webhook(team):
    """A webhook is set with a new secret each time, and removed; the rest of the text stays."""
    secrets = [key_editor.set_webhook(team, "alice", URL) for _ in range(2)]
    assert secrets[0] != secrets[1]
    (alice, *_) = KeyFile(team, Settings()).principals()
    assert (alice.webhook_url, alice.webhook_secret) == (URL, secrets[1])
    assert secrets[1] not in repr(alice)
    key_editor.limit(team, "alice", {"max_turns": 2})
    key_editor.configure(team, "alice", {"max_turns": 1})
    assert KeyFile(team, Settings()).principals()[0].webhook_secret == secrets[1]
    assert "# the team" in team.read_text()
    key_editor.set_webhook(team, "alice", None)
    assert "webhook" not in team.read_text()


@pytest.mark.parametrize("url", ["ftp://alice.example.com", "hook", "https://a b/"])
def test_wrong_webhook(team, url):
    """A wrong URL, or a name that has no key, changes nothing."""
    assert "keys.alice.webhook_url" in refusal(key_editor.set_webhook, team, "alice", url)
    assert "no key has that name" in refusal(key_editor.set_webhook, team, "dave", URL)
    assert team.read_text() == TEAM


@pytest.mark.parametrize(
    "config", ["1", "{max_turns = 0}", "{tools = ['Read']}", "{disallowed_tools = ['Bsh']}"]
)
def test_wrong_config(path, config):
    """A wrong tool config in the file is a mistake, which names it."""
    path.write_text(TEAM.replace("# Carol", f"config = {config}\n\n# Carol"))
    with pytest.raises(KeysError, match=r"keys\.bob\.config"):
        KeyFile(path, Settings())
