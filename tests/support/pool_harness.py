"""A pool of fake processes, whose boots and pauses happen when the test says so."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from wrapper.services.background.lifecycle import Lifecycle
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.backoff import FailureLog
from wrapper.services.claude.processes.pool import Pool, Spawner


class FakeProcess:
    """A process that dies or writes when the test says so."""

    def __init__(self, number):
        self.number = number
        self.dead = self.spoke = False

    def alive_and_silent(self):
        return not (self.dead or self.spoke)

    def exit_code(self):
        return 1 if self.dead else None


class ManualExecutor(Executor):
    """Runs what was submitted when the test asks, in the test's own thread."""

    def __init__(self):
        self.jobs: deque[Callable[[], None]] = deque()

    def submit(self, function, /, *args, **kwargs):
        self.jobs.append(function)

    def run(self, times=None):
        """Run *times* jobs, or all, with those that they submit."""
        while self.jobs and times != 0:
            self.jobs.popleft()()
            times = times and times - 1


class PoolHarness:
    """A pool and its surroundings. `errors` are what the next boots raise, None for success."""

    def __init__(self, size):
        self.boot_threads = ManualExecutor()
        self.errors: deque[Exception | None] = deque()
        self.made: list[Any] = []
        self.stopped: list[Any] = []
        self.refused: list[str] = []
        self.pauses: list[tuple[float, Callable[[], None]]] = []
        lifecycle = Lifecycle()
        lifecycle.on_refusal = self.refused.append
        self.pool = Pool(
            size,
            Spawner(self.boot, self.stopped.append, self.boot_threads, FailureLog()),
            lifecycle,
            later=lambda seconds, function: self.pauses.append((seconds, function)),
        )

    def boot(self):
        error = self.errors.popleft() if self.errors else None
        if error:
            raise error
        self.made.append(FakeProcess(len(self.made)))
        return self.made[-1]

    def fill(self):
        self.pool.fill()
        self.boot_threads.run()
        return self

    def fail(self, *errors):
        """Make the next boots fail."""
        self.errors += errors or [BootFailed("it coughed")]
        return self

    def resume(self):
        """End the pause, and return its length."""
        seconds, function = self.pauses.pop(0)
        function()
        return seconds

    def status(self):
        health = self.pool.health()
        return health["status"], health["ready"], health["booting"]
