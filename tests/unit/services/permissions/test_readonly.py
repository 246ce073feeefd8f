"""Read-only commands: what runs, in which form, and what is denied."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from wrapper.services.permissions.readonly.commands import COMMANDS, OTHERS
from wrapper.services.permissions.readonly.files import MOST_ENTRIES, MOST_MATCHES
from wrapper.services.permissions.readonly.find import EXPRESSIONS
from wrapper.services.permissions.readonly.line import read_only
from wrapper.services.permissions.readonly.syntax import LONGEST, Denied

SECRET = "the secret"


def make_work(folder: Path) -> Path:
    """Make an agent's directory in *folder*, with links that lead out of it.

    A file that the agent must not read is beside it.
    """
    outside, work = folder / "outside", folder / "work"
    outside.mkdir()
    (outside / "secret").write_text(SECRET)
    (work / "sub").mkdir(parents=True)
    (work / "a.txt").write_text("one\ntwo\nthree\n")
    (work / "b c.txt").write_text("four\n")
    (work / "sub" / "d.py").write_text("five\n")
    (work / "inner").symlink_to("sub")
    (work / "link").symlink_to(outside / "secret")
    (work / "dirlink").symlink_to(outside)
    (work / "sub" / "up").symlink_to("../..")
    (work / "-").symlink_to(outside)
    return work


def make_repository(work: Path) -> Path:
    """Make a repository of *work* with an uncommitted change."""
    (work / "-").unlink()
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "first")
    (work / "a.txt").write_text("one\n")
    return work


def git(folder: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True)


def sign(folder: Path, kind: str) -> None:
    """Give the last commit of the repository in *folder* a signature that is not valid."""
    shown = ("git", "cat-file", "commit", "HEAD")
    commit = subprocess.run(shown, cwd=folder, check=True, capture_output=True, text=True).stdout
    head, _, message = commit.partition("\n\n")
    head = head.partition("\ngpgsig")[0]
    signed = f"{head}\ngpgsig -----BEGIN {kind}-----\n \n x\n -----END {kind}-----\n\n{message}"
    file = folder.parent / "commit"
    file.write_text(signed)
    store = ("git", "hash-object", "-t", "commit", "-w", str(file))
    id_ = subprocess.run(store, cwd=folder, check=True, capture_output=True, text=True).stdout
    git(folder, "update-ref", "HEAD", id_.strip())


@pytest.fixture
def work(tmp_path):
    return make_work(tmp_path)


@pytest.fixture
def outside(tmp_path, work):
    return tmp_path / "outside"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Make a repository that tests only read."""
    return make_repository(make_work(tmp_path_factory.mktemp("repository")))


def allowed(commands: list[str], work: Path, outside: Path) -> list[str]:
    """Return the rebuilt lines of those *commands* that would run."""
    lines = []
    for command in commands:
        with suppress(Denied):
            lines.append(read_only(command.format(secret=outside / "secret"), str(work)))
    return lines


def run(command: str, work: Path, shell: str = "bash") -> str:
    """Return the output of an allowed command, run as Claude Code runs it."""
    line = read_only(command, str(work))
    ran = subprocess.run([shell, "-c", line], cwd="/", capture_output=True, text=True, timeout=20)
    return ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("cat a.txt", "one\ntwo\nthree\n"),
        ("cat 'a.txt' \"b c.txt\" b\\ c.txt", "one\ntwo\nthree\nfour\nfour\n"),
        ("cat *.txt | tail -n 1", "four\n"),
        ("cat inner/*.py", "five\n"),
        ("cat [ls]*/*.py", "five\n"),
        ("cat {work}/a.txt | head -1", "one\n"),
        ("cat {work}/sub/*.py", "five\n"),
        ("head -n 2 a.txt; tail -n +3 a.txt", "one\ntwo\nthree\n"),
        ("sed -n '2,3p' a.txt", "two\nthree\n"),
        ("sed -n '$p' a.txt", "three\n"),
        ("wc -l < a.txt", "3\n"),
        ("grep -n 't[wh]' a.txt", "2:two\n3:three\n"),
        ('grep "two$" a.txt', "two\n"),
        ("grep -r five . --include='*.py'", "./sub/d.py:five\n"),
        ("grep -c -e one -e two a.txt", "2\n"),
        ("grep -- -x a.txt || echo none", "none\n"),
        ("grep -rl o . 2>/dev/null | sort | head -5", "./a.txt\n./b c.txt\n"),
        ("find . -name '*.py' -type f", "./sub/d.py\n"),
        ("find sub \\( -name 'd*' -o -name 'x*' \\) ! -type d -print", "sub/d.py\n"),
        ("find . -maxdepth 1 -newer a.txt -name '*.txt' | wc -l", None),
        ("cd sub && cat ../a.txt | wc -l", "3\n"),
        ("cd sub; ls *.py", "d.py\n"),
        ("ls -d sub # a comment\n\necho done\n", "sub\ndone\n"),
        ("ls nothing 2>/dev/null || echo 'not there'", "not there\n"),
        ("ls nothing >/dev/null 2>&1 && echo there", ""),
        ("cat nothing-*", "cat: 'nothing-*': No such file or directory\n"),
        ("sort -r a.txt | uniq -c | tr -s ' ' | cut -d ' ' -f 3", "two\nthree\none\n"),
        ("diff a.txt a.txt && cmp a.txt a.txt", ""),
        ("diff -u a.txt /dev/null | grep -c ^-", "4\n"),
        ("basename sub/d.py .py; dirname sub/d.py", "d\nsub\n"),
        ("stat -c %s a.txt", "14\n"),
        ("echo -e 'a\\tb' '~' '$HOME' \\$x \"it's\"", "a\tb ~ $HOME $x it's\n"),
        ("echo a\\\n b", "a b\n"),
        ("date +%Y | wc -c", "5\n"),
        ("du -s . | wc -l; true", "1\n"),
        ("pwd", "{work}\n"),
        ("ls -la --color=never | wc -l", "10\n"),
        ("tail -2 a.txt | nl", "     1\ttwo\n     2\tthree\n"),
    ],
)
def test_useful_commands(work, command, output):
    """The usual commands to read files run, with the output that they have without a gateway."""
    actual = run(command.format(work=work) if "{work}" in command else command, work)
    assert output is None or actual == output.format(work=work)


# Each of these would print or change a file, run a program or show something of the machine.
ATTACKS = [
    # reported ones
    *("tree --fromfile {secret}", "grep -R . .", "rg -L .", "cat {secret}"),
    "cat ../outside/secret",
    # links and parent directories
    *("cat link", "cat dirlink/secret", "cat sub/up/outside/secret", "head -- link"),
    *("cat < link", "ls -l dirlink/", "ls sub/up/outside", "ls ..", "ls /", "ls -"),
    *("cat */secret", "cat [l]ink", "grep -r . dirlink", "grep . *", "find dirlink/"),
    *("find sub/up/outside", "rg . dirlink", "cd dirlink && cat secret"),
    *("cd .. && cat outside/secret", "cd sub && cat ../../outside/secret", "cd sub/up; ls"),
    *("cd / && ls", "cd", "cd -", "cd sub || ls ..", "cd sub | cat", "pushd /", "ls ~"),
    *("ls ~root", "ls $HOME", "ls ${{HOME}}", 'ls "$HOME"', "ls $'/etc'", "cat $OLDPWD/x"),
    *("cat /etc/passwd", "cat /proc/self/environ", "cat /dev/stdin", "cat /dev/../etc/passwd"),
    *("ls -L link", "ls -H link", "ls --dereference link", "du -L .", "find -L ."),
    *("find . -follow", "find -H dirlink", "tree -l", "tree dirlink", "stat -L link"),
    *("stat -f %N link", "file -L link"),
    # lists of files, and files that options read
    *("wc --files0-from={secret}", "wc --f {secret}", "wc --fi''les0-from={secret}"),
    *("du -X {secret}", "du --files0-from={secret}", "sort --files0-from={secret}"),
    *("find -files0-from {secret}", "date -f {secret}", "date --file={secret}"),
    *("date -r {secret}", "file -f {secret}", "file -C", "file -m {secret} a.txt"),
    *("grep -f {secret} a.txt", "grep -vf{secret} a.txt", "rg -f {secret}"),
    *("grep --file={secret} a.txt", "grep --fil={secret} a.txt"),
    *("grep --exclude-from={secret} .", "rg --file {secret}", "rg --ignore-file {secret} ."),
    *("cut -c 1 {secret}", "diff a.txt {secret}", "diff --from-file={secret} a.txt"),
    *("diff -r . dirlink", "diff -X {secret} a.txt a.txt", "diff sub dirlink"),
    *("diff -N a.txt sub", "cmp a.txt sub", "tr -d a < {secret}", "uniq {secret}"),
    *("sha256sum -c {secret}", "md5sum {secret}", "strings @{secret}", "xxd {secret}"),
    *("od -c a.txt", "find . -newer {secret}", "find . -samefile {secret}"),
    *("tree --gitfile={secret}", "tree --info", "less {secret}", "more {secret}", "tac {secret}"),
    *("rev {secret}", "base64 {secret}", "dd if=x", "jq -f {secret}"),
    *("jq --rawfile a {secret} .", "jq -n env", 'jq -n \'import "x" as $d; $d\''),
    *("sort --random-source={secret} a.txt", "column {secret}", "paste {secret}"),
    "comm {secret} a.txt",
    *("echo {secret} | command xargs cat", "for i in 1; do echo {secret} | xargs tail; done"),
    *("wc -\\-files0-from={secret}", 'du -"-files0-from={secret}"'),
    *("timeout 5 du --files0={secret}", "git grep --no-index sha {secret}", "echo $SECRET"),
    "head -c 9 /proc/self/root{secret}",
    *("xargs -a /proc/self/environ echo", "wc --files0-from=/proc/self/en'v'iron"),
    # programs that commands run
    *("find . -exec cat {secret} ;", "find . -execdir id +", "find . -ok id ;"),
    *("find . -okdir id ;", "sort --compress-program=id a.txt", "rg --pre id .", "rg --pre=id ."),
    *("rg -z .", "rg --search-zip .", "rg --hostname-bin id .", "sed '1e id' a.txt"),
    *("sed -n 's/a/id/e' a.txt", "sed -f x a.txt", "awk 1 x", "sed 'r {secret}' a.txt"),
    *("sed -n '1w made' a.txt", "sed -i 1p a.txt", "sed -s 1p a.txt", "perl -e 1", "xargs cat"),
    *("ls | xargs cat", "env", "env id", "printenv", "timeout 5 cat a.txt", "nice ls", "sudo ls"),
    *("command ls", "builtin cd ..", "exec ls", "eval ls", "source a.txt", ". a.txt"),
    *("bash -c ls", "sh a.txt", "python3 -c 1", "node -e 1", "docker ps", "ssh host"),
    *("curl http://x", "nc x 1", "gzip -dc {secret}", "./a.txt", "sub/d.py", "/bin/cat {secret}"),
    *("\\cat {secret}", "'cat' {secret}", "ca''t {secret}", "PATH=. ls", "A=1 ls"),
    *("! cat a.txt | x", "time ls", "coproc ls", "for a in b; do ls; done"),
    *("if true; then ls; fi", "{{ ls; }}", "(ls)", "[[ -f a.txt ]]", "f() {{ ls; }}"),
    *("while true; do ls; done", "ls `id`", "ls $(id)", 'echo "$(id)"', 'echo "`id`"'),
    *("echo $((1))", "cat <(id)", "cat <<< x", "cat << x", "alias ls=id", "export A=1", "set -x"),
    *("trap id EXIT", "ls & id", "ls |& id", "ls; id", "ls && id", "ls\nid"),
    # writing
    *("ls > made", "ls >> made", "ls >| made", "ls &> made", "ls 2> made", "ls > /dev/nullx"),
    *("ls >&made", "find . -delete", "find . -fprint made", "find . -fprint0 made"),
    *("find . -fls made", "find . -fprintf m x", "sort -o made a.txt"),
    *("sort --output=made a.txt", "sort -T . a.txt", "uniq a.txt made", "tree -o made"),
    *("tree -R -L 1 -H . ", "tee made", "touch made", "rm a.txt", "mv a.txt b", "cp a.txt b"),
    *("ln -s / l", "mkdir m", "date 01010000", "date -s 0101", "date --set=0101"),
    *("tail -f a.txt", "tail -F a.txt", "tail --follow a.txt"),
    # commands that show the machine or the gateway
    *("ps aux", "ps e", "lsof", "netstat -an", "ss", "who", "w", "id", "whoami", "hostname"),
    *("uname -a", "df", "mount", "which ls", "type ls", "history", "declare -p", "compgen -e"),
    *("ulimit -a", "printf %s x", "test -f x", "[ -f x ]"),
    # syntax that is not supported
    *("", " ", "# nothing", ";", "ls ;;", "| ls", "ls |", "ls &&", "&& ls", "ls || || ls"),
    *("cat 'a", 'cat "a', "cat a\\", "cat {{a,b}}", "cat a{{1..3}}", "ls\x00", "ls\r"),
    *("ls\x0bid", "ls\xa0-l", "ls \ud800", "'' a", "ls -", "ls -\xe9", "ls --no-such", "ls --al"),
    *("head -n", "head -n x a.txt", "grep", "cat --number=1", "ls < a.txt < *", "echo a >"),
    *("cat <", "ls 2>", "ls >&-", "ls <&3", "ls <> made", "pwd a", "find a -name"),
]  # fmt: skip


def test_attacks(work, outside):
    """A command that could print other files, write, run programs or show the machine is denied."""
    assert allowed(ATTACKS, work, outside) == []


WORDS = (
    *("a.txt", "sub", ".", "..", "link", "dirlink", "inner", "*", "*/*", ".*", "-", "--", "sub/up"),
    *("../outside/secret", "1", "+2", "'%s'", "-e", "--follow", "-R", "-L", "'*.txt'", "d", "''"),
)


def at_random(chance: random.Random) -> str:
    """Return a command with some of its options and random words among them."""
    name = chance.choice([*COMMANDS, "find"])
    options = list(EXPRESSIONS if name == "find" else COMMANDS[name].options)
    words = [*chance.sample(options, min(len(options), chance.randint(0, 3)))]
    for _ in range(chance.randint(0, 4)):
        words.insert(chance.randint(0, len(words)), chance.choice(WORDS))
    return " ".join([name, *words])


@pytest.mark.parametrize("seed", range(3))
def test_random_commands(work, seed):
    """Random commands that run show no file from outside and write nothing."""
    chance = random.Random(seed)
    lines: list[str] = []
    while len(lines) < 100:
        with suppress(Denied):
            lines.append(read_only(at_random(chance), str(work)))
    before = sorted(path.name for path in work.parent.rglob("*"))
    script = "\n".join([*lines, "echo the end"])
    ran = subprocess.run(["bash", "-c", script], capture_output=True, input=b"", timeout=60)
    assert ran.stdout.endswith(b"the end\n")
    assert SECRET.encode() not in ran.stdout + ran.stderr
    assert sorted(path.name for path in work.parent.rglob("*")) == before


def test_words_are_literal(work):
    """Every word of an allowed command reaches its program unchanged."""
    words = [
        "'",
        "''",
        "a'b",
        '"',
        "\\",
        "$HOME",
        "`id`",
        "*",
        "a b",
        "\n",
        "\t",
        "!x",
        "{a,b}",
        "ä",
        "#",
    ]
    line = " ".join(map(shlex.quote, words))
    assert run(f"echo {line}", work) == " ".join(words) + "\n"


def test_hidden_names_need_a_dot(work):
    """A wildcard matches neither hidden names nor, with a dot, the parent directories."""
    (work / ".hidden").write_text("six")
    (work / "-").unlink()
    assert run("cat *.txt .h*", work).endswith("six")
    assert "'.hidden'" in read_only("ls -d .*", str(work))
    assert "'..'" not in read_only("ls -d .*", str(work))
    assert ".hidden" not in read_only("ls -d [a-z.]*.txt", str(work))


def test_a_name_like_an_option(work):
    """A file with the name of an option is read as a file."""
    (work / "--fromfile").write_text("seven")
    (work / "-exec").mkdir()
    assert run("cat -- --from*", work) == "seven"
    assert run("find [-]exec", work) == "./-exec\n"


@pytest.mark.parametrize(
    "pattern",
    ["{outside}/{name}*", "../outside/{name}*", "dirlink/{name}*", "*/{name}", "[d]irlink/{name}"],
)
def test_wildcards_tell_nothing_of_outside(work, outside, pattern):
    """A denial of a wildcard is the same whether anything outside matches it or not."""
    denials = []
    for name in ("secret", "absent"):
        with pytest.raises(Denied) as caught:
            read_only("ls " + pattern.format(outside=outside, name=name), str(work))
        denials.append(str(caught.value).replace(name, "NAME"))
    assert denials == [denials[0]] * 2
    assert denials[0].startswith(pattern.format(outside=outside, name="NAME") + " is outside")


def test_wildcards_are_limited(work):
    """A wildcard that matches, or goes through, too many files is denied."""
    for number in range(MOST_MATCHES + 1):
        (work / "sub" / f"{number}.log").touch()
    with pytest.raises(Denied, match="more than"):
        read_only("cat sub/*.log", str(work))
    several = " ".join(["sub/*.no"] * (MOST_ENTRIES // MOST_MATCHES + 1))
    with pytest.raises(Denied, match="too many files"):
        read_only(f"ls {several}", str(work))
    with pytest.raises(Denied, match="longer than"):
        read_only("echo " + "a" * LONGEST, str(work))


def test_denials_name_alternatives(work):
    """A denial names the commands and options that are allowed."""
    for command, named in (
        ("awk 1", ", ls, "),
        ("ls; cd sub", "only at the start"),
        ("ls -Z", " -l "),
        ("git push", "status"),
    ):
        with pytest.raises(Denied, match=named):
            read_only(command, str(work))


def test_the_list_in_the_docs():
    """SECURITY.md lists the commands that run."""
    listed = (Path(__file__).parents[4] / "SECURITY.md").read_text()
    assert ", ".join(f"`{name}`" for name in sorted({*COMMANDS, *OTHERS, "cd"})) in " ".join(
        listed.split()
    )


# Git


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("git status --short", " M a.txt\n"),
        ("git log --oneline -n 1 --format=%s", "first\n"),
        ("git log -1 --format=%s -- a.txt", "first\n"),
        ("git diff --stat | tail -n 1", " 1 file changed, 2 deletions(-)\n"),
        ("git diff HEAD -- *.txt | grep -c ^-", "3\n"),
        ("git show HEAD:a.txt | wc -l", "3\n"),
        ("git show main --name-only --format= | head -1", "a.txt\n"),
        ("git blame -s a.txt | wc -l", "1\n"),
        ("git branch --show-current", "main\n"),
        ("git ls-files sub", "sub/d.py\nsub/up\n"),
        ("git rev-parse --abbrev-ref HEAD", "main\n"),
        ("cd sub && git status -s", " M ../a.txt\n"),
    ],
)
def test_git_reads_its_repository(repository, command, output):
    """Git shows the state and history of the repository in the agent's directory."""
    assert run(command, repository) == output


GIT_ATTACKS = [
    *("git", "git -C .. status", "git -c core.pager=id log", "git --git-dir=x log", "git -p log"),
    *("git diff --no-index a.txt {secret}", "git diff a.txt {secret}", "git diff --ext-diff"),
    *("git log --textconv", "git log --show-signature", "git diff --output=made", "git log -Lx"),
    *("git blame --contents {secret} a.txt", "git blame -S {secret} a.txt", "git grep x"),
    *("git show HEAD:a.txt --ext-diff", "git diff -O{secret}", "git ls-files -X {secret}"),
    *("git ls-files --exclude-from={secret}", "git config -l", "git remote -v", "git push"),
    *("git branch new", "git tag x", "git checkout a.txt", "git stash", "git add .", "git fetch"),
    *("git log --stdin", "git archive HEAD", "git hash-object {secret}", "git help log", "git x"),
    *("git log --format=%G?", "git show --pretty=format:%h%n%+GK", "git log --format '%% % G?'"),
    *("git log ../outside", "git log -- {secret}", "git status dirlink", "git apply {secret}"),
]  # fmt: skip


def test_attacks_by_git(work, outside):
    """A git command that reads other files, runs programs or changes the repository is denied."""
    (work / ".git").mkdir()
    assert allowed(GIT_ATTACKS, work, outside) == []


@pytest.mark.parametrize(
    "command", ["log -1 --format=x -p", "show", "diff", "blame a.txt", "rev-parse"]
)
def test_a_name_like_an_option_of_git(work, outside, command):
    """A wildcard gives git the name of a file, and never an option."""
    repository = make_repository(work)
    for option, file in (("--output", outside / "made"), ("--contents", outside / "secret")):
        named = Path(f"{repository}/{option}={file}")
        named.parent.mkdir(parents=True)
        named.touch()
    for words in (f"[-]*{outside}/made", f"[-]*{outside}/secret a.txt", f"-- [-]*{outside}/made"):
        line = read_only(f"git {command} {words}", str(repository))
        given = shlex.split(line)[shlex.split(line).index("git") + 1 :]
        assert not [word for word in given if word.startswith(("--output", "--contents"))]
        assert SECRET not in run(f"git {command} {words}", repository)
    assert not (outside / "made").exists()


def test_no_program_of_a_configuration_runs(work):
    """Git runs no program that a repository's configuration or attributes name."""
    repository = make_repository(work)
    program = work.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {repository}/made\nfalse\n")
    program.chmod(0o700)
    programs = (
        *("core.fsmonitor", "diff.external", "core.pager", "pager.log"),
        *("diff.x.command", "diff.x.textconv"),
        *("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.x509.program"),
    )
    for name in programs:
        git(repository, "config", name, str(program))
    for name, value in (("log.showSignature", "true"), ("format.pretty", "a"), ("pretty.a", "%G?")):
        git(repository, "config", name, value)
    git(repository, "config", "gpg.ssh.allowedSignersFile", str(program))
    (repository / ".gitattributes").write_text("* diff=x\n")
    shown = ("log", "log -p --format=a", "show")
    for kind in ("PGP SIGNATURE", "SSH SIGNATURE", "SIGNED MESSAGE"):
        sign(repository, kind)
        for command in ("status -v", "diff", *shown, "blame a.txt", "ls-files -m", "branch"):
            run(f"git {command}", repository)
            assert not (repository / "made").exists(), (kind, command)


@pytest.mark.parametrize("url", ["ext::{program}", "{work}", "own::x"])
def test_nothing_is_fetched(work, url, monkeypatch):
    """Git fetches no object that the repository lacks, by whatever protocol its settings allow."""
    repository, program = make_repository(work), work.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {work}/made\nfalse\n")
    program.chmod(0o700)
    for name, value in (
        *(("core.repositoryFormatVersion", "1"), ("extensions.partialClone", "origin")),
        *(("remote.origin.promisor", "true"), ("remote.origin.uploadpack", str(program))),
        ("remote.origin.url", url.format(program=program, work=work)),
        *((f"protocol.{name}.allow", "always") for name in ("ext", "file", "own")),
    ):
        git(repository, "config", name, value)
    program.with_name("git-remote-own").symlink_to(program)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    run(f"git show {'1' * 40}", repository)
    assert not (repository / "made").exists()


def test_only_the_directorys_own_repository(work):
    """Git uses no repository above the directory, behind a file or link, or made of plain files
    that an agent could have written."""
    repository = make_repository(work)
    inner = repository / "sub"
    with pytest.raises(Denied, match="top of a git repository"):
        read_only("git log", str(inner))
    (inner / ".git").write_text(f"gitdir: {repository}/.git")
    with pytest.raises(Denied, match="top of a git repository"):
        read_only("git log", str(inner))
    (inner / ".git").unlink()
    (inner / ".git").symlink_to(repository / ".git")
    with pytest.raises(Denied, match="top of a git repository"):
        read_only("git log", str(inner))
    (inner / ".git").unlink()
    shutil.copytree(repository / ".git", inner, dirs_exist_ok=True)
    with pytest.raises(Denied, match="top of a git repository"):
        read_only("git log", str(inner))
