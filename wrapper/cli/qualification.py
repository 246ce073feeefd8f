"""Try the installed Claude Code on demand: whether it does what the gateway relies on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.profiles import Profile, build_profiles
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.claude.processes.trials import examination
from wrapper.services.claude.processes.trials.check import Consequence
from wrapper.settings import Settings
from wrapper.storage_checks import Finding, Level


def qualify(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Run all checks on the binary that a gateway with *settings* uses, whatever is stored."""
    supervisor = Supervisor(settings, environment)
    try:
        binary = supervisor.installation.binary()
        yield Finding("claude", Level.OK, f"{binary.version} at {binary.path}")
        for profile in build_profiles(settings, environment).values():
            if profile.pooled:
                yield from _examine(supervisor, binary, profile)
    except BootFailed as error:
        yield Finding("claude", Level.FAILED, str(error))
    finally:
        supervisor.close()


def _examine(supervisor: Supervisor, binary: Binary, profile: Profile) -> Iterator[Finding]:
    for finding in supervisor.trials.examine(binary, profile):
        yield _row(profile, finding)


def _row(profile: Profile, finding: examination.Finding) -> Finding:
    check, subject = finding.check, f"{profile.name} {finding.check.id}"
    if not finding.failed:
        return Finding(subject, Level.OK, f"{check.relies_on} ({finding.seconds:.1f} s)")
    level = Level.FAILED if check.consequence is Consequence.REFUSED else Level.WARNING
    return Finding(subject, level, f"{finding.failed}; {check.consequence.value}")
