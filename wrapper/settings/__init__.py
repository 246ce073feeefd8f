"""The settings: one table of names, defaults, meanings and checks, and how they are read."""

from wrapper.settings import utf8
from wrapper.settings.capacity import GATEWAY_BYTES, PROCESS_BYTES, TURNS_PER_CORE
from wrapper.settings.claude_tools import TOOLS
from wrapper.settings.loading import check, environment, explain, load, origin_of, warnings
from wrapper.settings.sources import env_text, masked
from wrapper.settings.spelling import did_you_mean
from wrapper.settings.table import (
    FILES_DIR,
    IGNORABLE,
    PERMISSION_MODES,
    SESSION_DIR,
    SESSION_DIR_OF_USER,
    Settings,
)
from wrapper.settings.validation import SettingsError, is_loopback, mistakes_of

__all__ = [
    "FILES_DIR",
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
    "check",
    "did_you_mean",
    "env_text",
    "environment",
    "explain",
    "is_loopback",
    "load",
    "masked",
    "mistakes_of",
    "origin_of",
    "utf8",
    "warnings",
]
