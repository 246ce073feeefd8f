"""The settings in the files of deploy/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = (DEPLOY / "compose.yaml").read_text()
KUBERNETES = (DEPLOY / "kubernetes.yaml").read_text()
KUBERNETES_WORKER = (DEPLOY / "kubernetes-worker.yaml").read_text()
UNIT = (DEPLOY / "claude-code-gateway.service").read_text()
UNIT_OF_WORKER = (DEPLOY / "claude-code-gateway-worker.conf").read_text()  # beside the other
MIB = 1024**2


@dataclass(frozen=True)
class Deployment:
    """One way to deploy: its variables, the seconds it has to stop, and its memory in bytes.

    `lost` is the part of the seconds that passes before the gateway gets SIGTERM. A worker `serves`
    no HTTP.
    """

    variables: dict[str, str]
    seconds: int
    memory: int
    text: str
    lost: int = 0
    serves: bool = True


def number(text: str, unit: str) -> int:
    assert text.endswith(unit), text
    return int(text.removesuffix(unit))


def compose(name: str = "gateway1") -> Deployment:
    service = yaml.safe_load(COMPOSE)["services"][name]
    return Deployment(
        service["environment"],
        number(service["stop_grace_period"], "s"),
        number(service["mem_limit"], "m") * MIB,
        COMPOSE,
        serves=name != "worker",
    )


def compose_worker() -> Deployment:
    return compose("worker")


def kubernetes(text: str = KUBERNETES) -> Deployment:
    pod = next(yaml.safe_load_all(text))["spec"]["template"]["spec"]
    container = pod["containers"][0]
    stopping = container.get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})
    return Deployment(
        {one["name"]: one.get("value", "secret") for one in container["env"]},
        pod["terminationGracePeriodSeconds"],
        number(container["resources"]["limits"]["memory"], "Mi") * MIB,
        text,
        lost=int(stopping["preStop"]["exec"]["command"][1]),
        serves="ports" in container,
    )


def kubernetes_worker() -> Deployment:
    return kubernetes(KUBERNETES_WORKER)


def systemd(text: str = UNIT) -> Deployment:
    said = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    return Deployment(
        dict(pair.split("=") for pair in said["Environment"].split()),
        int(said["TimeoutStopSec"]),
        number(said["MemoryMax"], "M") * MIB,
        text,
        serves=text == UNIT,
    )


def systemd_worker() -> Deployment:
    return systemd(UNIT + UNIT_OF_WORKER)


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the Dockerfile's instructions, each with its arguments."""
    bare = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    for line in filter(None, bare.splitlines()):
        word, _, told = line.partition(" ")
        yield word, told.strip()


def copied() -> list[Path]:
    """Return the files and directories of the repository that the image copies."""
    told = [words.split() for word, words in instructions() if word == "COPY"]
    return [ROOT / name for names in told if names[0] != "--from=build" for name in names[:-1]]


def healthcheck() -> list[str]:
    """Return the command of the image's health check."""
    (told,) = (words for word, words in instructions() if word == "HEALTHCHECK")
    return list(json.loads(told.partition("CMD ")[2]))


def image() -> dict[str, str]:
    """Return the variables that the image sets."""
    told = " ".join(words for word, words in instructions() if word == "ENV")
    return dict(pair.split("=") for pair in told.split())
