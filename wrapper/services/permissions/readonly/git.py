"""The read-only subcommands of git, limited to the repository in the working directory.

Git would search the directories above for a repository, accept one that an agent has written, and
run programs that a configuration names. Its first options rule all that out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.syntax import Denied, Word
from wrapper.services.permissions.readonly.usage import CommandUsage, arguments, usage

_FIXED = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "diff.submodule=short",
    *(f"gpg.{kind}program=/bin/false" for kind in ("", "openpgp.", "ssh.", "x509.")),
    "log.showSignature=false",
    "status.submoduleSummary=false",
)
_DIFF = (
    "-U=number -b -i -p -s -u -w -z --abbrev=optional --cached --color=optional "
    "--ignore-all-space --ignore-space-change --minimal --name-only --name-status --no-color "
    "--no-renames --numstat --patch --raw --shortstat --staged --stat=optional --summary "
    "--unified=number --word-diff=optional"
)
_LOG = (
    f"{_DIFF} -NUM -E -F -G=text -S=text -n=number --abbrev-commit --after=text --all "
    "--author=text --before=text --branches=optional --date=text --decorate=optional "
    "--first-parent --follow "
    "--format=text --graph --grep=text --max-count=number --merges --no-decorate --no-merges "
    "--oneline --pretty=optional --reverse --since=text --skip=number --tags=optional --until=text"
)
_NO_PROGRAMS = "--no-ext-diff --no-textconv --ignore-submodules=all"
# Formats that show a signature, which git lets a program check.
_SIGNED = re.compile(r"--(format|pretty)=.*%[-+ ]?G", re.DOTALL)

SUBCOMMANDS: dict[str, CommandUsage] = {
    "blame": usage("-L=text -e -l -s -w --date=text", "revisions", always="--no-textconv"),
    "branch": usage("-a -r -v --all --list --remotes --show-current --verbose", "none"),
    "diff": usage(_DIFF, "revisions", always=_NO_PROGRAMS),
    "log": usage(_LOG, "revisions", always=_NO_PROGRAMS),
    "ls-files": usage(
        "-c -d -m -o -s -t --cached --deleted --exclude-standard --modified --others --stage"
    ),
    "rev-parse": usage("--abbrev-ref --short=optional --verify", "revisions"),
    "show": usage(_LOG, "revisions", always=_NO_PROGRAMS),
    "status": usage(
        "-b -s -v --branch --long --porcelain=optional --short --show-stash --untracked-files=text",
        always="--ignore-submodules=all",
    ),
}


def git(words: Sequence[Word], files: Files) -> list[str]:
    """Return the rebuilt arguments of `git`. Raises Denied."""
    name = words[0].text if words else ""
    if name not in SUBCOMMANDS:
        raise Denied(f"only these subcommands of git run here: {', '.join(SUBCOMMANDS)}")
    if not files.has_repository():
        raise Denied("the working directory is not the top of a git repository")
    rebuilt = arguments(f"git {name}", SUBCOMMANDS[name], words[1:], files)
    if any(map(_SIGNED.match, rebuilt)):
        raise Denied("no program checks signatures here; leave out %G")
    paths = f"--git-dir={files.root}/.git", f"--work-tree={files.root}"
    fixed = [word for setting in _FIXED for word in ("-c", setting)]
    return ["--no-pager", "--no-optional-locks", *paths, *fixed, name, *rebuilt]
