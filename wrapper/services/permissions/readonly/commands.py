"""The read-only commands that agents may run, each with its options and operands.

No option here changes, runs or names a file in the GNU, BusyBox and BSD version of its command.
Everything else is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.find import find
from wrapper.services.permissions.readonly.git import git
from wrapper.services.permissions.readonly.syntax import Denied, Word
from wrapper.services.permissions.readonly.usage import CommandUsage, arguments, usage

_GREP = (
    "-A=number -B=number -C=number -E -F -G -H -I -L -P -a -b -c -e=pattern -h -i -l -m=number -n "
    "-o -q -r -s -v -w -x -y --color=optional --colour=optional --include=text --exclude=text "
    "--exclude-dir=text --count --extended-regexp --fixed-strings --perl-regexp --ignore-case "
    "--invert-match --word-regexp --line-regexp --line-number --files-with-matches "
    "--files-without-match --only-matching --no-filename --with-filename --no-messages --quiet "
    "--recursive --max-count=number --after-context=number --before-context=number "
    "--context=number"
)
_RG = (
    "-A=number -B=number -C=number -F -H -I -N -P -S -U -a -c -d=number -e=pattern -g=text -i -l "
    "-m=number -n -o -q -s -t=text -T=text -u -v -w -x --after-context=number "
    "--before-context=number --context=number --count --count-matches --color=text --column "
    "--files --files-with-matches --files-without-match --fixed-strings --glob=text --iglob=text "
    "--heading --hidden --ignore-case --invert-match --json --line-number --max-columns=number "
    "--max-count=number --max-depth=number --multiline --no-filename --no-heading --no-ignore "
    "--no-line-number --no-messages --only-matching --pcre2 --quiet --smart-case --sort=text "
    "--stats --text --trim --type=text --type-not=text --vimgrep --with-filename --word-regexp"
)
_TREE = (
    "-A -C -D -F -I=text -L=number -P=text -S -a -d -f -h -i -n -p -r -s -t -u --dirsfirst "
    "--noreport --prune"
)
_LS = (
    "-1 -A -C -F -R -S -U -X -a -c -d -f -g -h -i -k -l -m -n -o -p -r -s -t -u -v -x --all "
    "--almost-all --color=optional --directory --full-time --group-directories-first "
    "--human-readable --inode --no-group --numeric-uid-gid --recursive --reverse --size"
)

COMMANDS: dict[str, CommandUsage] = {
    "basename": usage("-a -s=text", "text"),
    "cat": usage("-A -E -T -b -e -n -s -t -v --number --number-nonblank --show-all"),
    "cmp": usage("-l -s", "files", most=2),
    "cut": usage(
        "-b=text -c=text -d=text -f=text -s --characters=text --delimiter=text "
        "--fields=text --only-delimited"
    ),
    "date": usage("-u", "text", text=r"\+[\s\S]*", most=1),
    "diff": usage(
        "-B -U=number -a -b -c -i -q -s -t -u -w -y --brief --color=optional "
        "--ignore-all-space --side-by-side --unified=number --width=number",
        "files",
        most=2,
    ),
    "dirname": usage("", "text"),
    "du": usage(
        "-a -c -d=number -h -k -m -s -x --all --human-readable --max-depth=number "
        "--summarize --total"
    ),
    "file": usage("-b --brief --mime-type"),
    "grep": usage(_GREP, pattern=r"[\s\S]*"),
    "head": usage("-NUM -c=number -n=number -q -v --bytes=number --lines=number"),
    "ls": usage(_LS),
    "nl": usage("-b=text -n=text -s=text -w=number"),
    "pwd": usage("-L -P", "none"),
    "rg": usage(
        _RG,
        pattern=r"[\s\S]*",
        always="--no-config --no-follow --no-ignore-messages --no-search-zip --no-pre",
    ),
    "sed": usage(
        "-E -n -e=pattern --quiet", pattern=r"(\d+|\$)(,(\d+|\$))?p(;(\d+|\$)(,(\d+|\$))?p)*"
    ),
    "sort": usage(
        "-M -V -b -c -d -f -g -h -i -k=text -n -r -s -t=text -u --human-numeric-sort "
        "--ignore-case --key=text --numeric-sort --reverse --stable --unique "
        "--version-sort"
    ),
    "stat": usage("-c=text --format=text --printf=text"),
    "tail": usage("-NUM -c=number -n=number -q -v --bytes=number --lines=number"),
    "tr": usage("-C -c -d -s --complement --delete --squeeze-repeats", "text"),
    "tree": usage(_TREE),
    "true": usage("", "none"),
    "uniq": usage(
        "-c -d -f=number -i -s=number -u -w=number --count --ignore-case --repeated --unique",
        most=1,
    ),
    "wc": usage("-L -c -l -m -w --bytes --chars --lines --max-line-length --words"),
}

# Commands with a syntax of their own.
OTHERS: dict[str, Callable[[Sequence[Word], Files], list[str]]] = {
    "echo": lambda words, _: [word.text for word in words],
    "find": find,
    "git": git,
}


def rewrite(words: Sequence[Word], files: Files) -> list[str]:
    """Return the rebuilt words of a command. Raises Denied."""
    name, *rest = words
    if name.text in OTHERS:
        rebuilt = OTHERS[name.text](rest, files)
    elif name.text in COMMANDS:
        rebuilt = arguments(name.text, COMMANDS[name.text], rest, files)
    elif name.text == "cd":
        raise Denied("cd is allowed only at the start: cd DIRECTORY && COMMAND")
    else:
        names = ", ".join(sorted({*COMMANDS, *OTHERS, "cd"}))
        raise Denied(f"{name.text or 'an empty name'} is not one of the commands: {names}")
    return [name.text, *rebuilt]
