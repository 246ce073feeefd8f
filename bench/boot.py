"""The CPU time of a boot and of turns with options of Claude Code's runtime, and without any.

python -m bench.boot [PROFILE [SAMPLES]]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from bench.__main__ import make_folders
from bench.bare_process import BOOT_SECONDS, TURN, converse, opening
from bench.measure import rotated
from bench.upstream import serving
from tests.support import cli
from wrapper import host
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import PLAIN, Profile, build_profiles
from wrapper.services.claude.processes.state import ProcessState, clear
from wrapper.services.claude.processes.warmup import warm_up
from wrapper.services.claude.protocol import frames
from wrapper.settings import Settings

SAMPLES = 10
LATER_TURNS = 30
VARIANTS: dict[str, dict[str, str]] = {
    "as it is": {},
    "BUN_GC_TIMER_INTERVAL=1000": {"BUN_GC_TIMER_INTERVAL": "1000"},
    "BUN_JSC_thresholdForOptimize…=1000": dict.fromkeys(PLAIN, "1000"),
    "BUN_JSC_useDFGJIT=0": {"BUN_JSC_useDFGJIT": "0"},
    "BUN_JSC_useJIT=0": {"BUN_JSC_useJIT": "0"},
    "BUN_JSC_useConcurrentGC=0": {"BUN_JSC_useConcurrentGC": "0"},
    "BUN_JSC_numberOfGCMarkers=1": {"BUN_JSC_numberOfGCMarkers": "1"},
    "MALLOC_ARENA_MAX=1": {"MALLOC_ARENA_MAX": "1"},
    "LD_BIND_NOW=1": {"LD_BIND_NOW": "1"},
    "glibc.malloc.hugetlb=1": {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
}


@dataclass(frozen=True)
class Sample:
    """Milliseconds of CPU time, and MiB of memory after all turns."""

    boot: float
    warm_up: float
    first: float
    later: float
    memory: float


def main(profile: str = "plain", samples: str = str(SAMPLES)) -> None:
    rows: dict[str, list[Sample]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as name, serving() as url:
        folder = Path(name)
        environment = make_folders(folder, url)
        base = build_profiles(Settings(claude_code_max_retries=0), environment)[profile]
        for number in range(int(samples)):
            for variant in rotated(list(VARIANTS), number):
                variables = {**base.variables, **VARIANTS[variant]}
                rows[variant].append(_sample(replace(base, variables=variables), folder))
    print("| | boot | warm-up | first turn | later turn | MiB |\n|---|---|---|---|---|---|")
    for variant, taken in rows.items():
        medians = (statistics.median(column) for column in zip(*map(astuple, taken), strict=True))
        print(f"| {variant} | {' | '.join(f'{median:.0f}' for median in medians)} |")


def _sample(profile: Profile, folder: Path) -> Sample:
    process = Process(profile, cli.current(), folder)
    try:
        boot, warm, first, *later = _steps(process)
        mib = host.resident(process.pid) / 1024**2
        return Sample(boot, warm, first, statistics.mean(later), mib)
    finally:
        process.stop()


def _steps(process: Process) -> Iterator[float]:
    """Yield the CPU time of the boot, of the warm-up, of a turn, and of later ones."""
    turn, used = replace(TURN, profile=process.profile.name), 0.0

    def spent() -> float:
        nonlocal used
        before, used = used, host.cpu_seconds(process.pid) * 1e3
        return used - before

    process.boot(BOOT_SECONDS, early=process.profile.alike)
    yield spent()
    warm_up(process, BOOT_SECONDS)
    yield spent()
    converse(process, turn, opening(process, turn))
    yield spent()
    for _ in range(LATER_TURNS):
        clear(process, ProcessState())
        converse(process, turn, frames.settings(turn))
        yield spent()


if __name__ == "__main__":
    main(*sys.argv[1:])
