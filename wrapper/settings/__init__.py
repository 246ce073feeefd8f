"""The settings: one table of names, defaults, meanings and checks, and how they are read."""

from wrapper.settings.capacity import GATEWAY_BYTES, PROCESS_BYTES, TURNS_PER_CORE
from wrapper.settings.loading import environment, load
from wrapper.settings.table import (
    IGNORABLE,
    PERMISSION_MODES,
    SESSION_DIR,
    SESSION_DIR_OF_USER,
    TOOLS,
    Settings,
)
from wrapper.settings.validation import SettingsError, is_loopback, mistakes_of

__all__ = [
    "GATEWAY_BYTES",
    "IGNORABLE",
    "PERMISSION_MODES",
    "PROCESS_BYTES",
    "SESSION_DIR",
    "SESSION_DIR_OF_USER",
    "TOOLS",
    "TURNS_PER_CORE",
    "Settings",
    "SettingsError",
    "environment",
    "is_loopback",
    "load",
    "mistakes_of",
]
