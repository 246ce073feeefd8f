"""A machine that has no more threads."""

from threading import Thread
from typing import NoReturn


def no_thread(thread: Thread) -> NoReturn:
    """Stand for Thread.start where none can be started."""
    raise RuntimeError("can't start new thread")
