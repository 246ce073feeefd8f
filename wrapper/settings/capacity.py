"""The number of turns that this machine can run at once."""

from __future__ import annotations

from wrapper import host

# The memory of a process in a long session, and of the gateway itself.
PROCESS_BYTES = 230 * 1024**2
GATEWAY_BYTES = 256 * 1024**2
# A turn mostly waits for its model. What costs CPU is the start of the process after it.
TURNS_PER_CORE = 12


def turns_at_once(warm_processes: int) -> int:
    """Return how many turns can run at once beside *warm_processes*; at least one."""
    turns = TURNS_PER_CORE * host.cores()
    if (memory := host.memory()) is not None:
        processes = (memory - GATEWAY_BYTES) // PROCESS_BYTES
        turns = min(turns, processes - warm_processes)
    return max(1, turns)
