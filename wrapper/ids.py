"""Ids that are unique and not secret.

Reading the kernel's randomness for each would let another thread run first, which costs a busy
server more time than all else about an id.
"""

from __future__ import annotations

import random


def new_id(prefix: str) -> str:
    """Return *prefix* and 32 random hexadecimal digits. Forked processes get different ones."""
    return f"{prefix}{random.getrandbits(128):032x}"
