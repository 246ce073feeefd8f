"""The requirements of `make test-lowest`: the lowest allowed versions, and the test tools.

python -m tests.support.lowest
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
# No test needs these there, and schemathesis needs a newer jsonschema-rs than the gateway.
LEFT_OUT = {
    "ruff",
    "mypy",
    "import-linter",
    "types-gunicorn",
    "types-psutil",
    "schemathesis",
    "build",
    "setuptools",
    "uv",
}


def read(name: str) -> list[Requirement]:
    """Return the requirements in a file, without those of included files."""
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def extras() -> dict[str, list[Requirement]]:
    """Return the requirements of each extra, except for `claude`: it only brings a binary."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = project["optional-dependencies"]
    return {
        name: [Requirement(line) for line in lines]
        for name, lines in told.items()
        if name != "claude"
    }


def lowest(requirement: Requirement) -> str:
    """Return *requirement* pinned to the lowest version that it allows."""
    low = [one.version for one in requirement.specifier if one.operator in (">=", "==")]
    return f"{requirement.name}=={max(low, key=Version)}"


def wanted() -> Iterator[str]:
    """Yield the lines of the requirements file."""
    own = [*read("requirements.txt"), *(one for extra in extras().values() for one in extra)]
    yield from map(lowest, own)
    yield from map(str, _tools(LEFT_OUT | {requirement.name for requirement in own}))


def _tools(without: Iterable[str]) -> list[Requirement]:
    return [one for one in read("requirements-dev.txt") if one.name not in without]


if __name__ == "__main__":
    print("\n".join(wanted()))
