"""A key's table in the keys file: its hash and its ceilings, with their types and ranges."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from marshmallow import (
    RAISE,
    Schema,
    ValidationError,
    fields,
    post_load,
    validates,
    validates_schema,
)
from marshmallow.validate import Range

from wrapper.schemas.base import StrictBool, StrictFloat, StrictInt
from wrapper.services.permissions.confinement import HOW_TO_OPEN, rules_that_open
from wrapper.services.permissions.rules import is_rule
from wrapper.services.principal import RESERVED, Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.services.tools.mcp import read_rule
from wrapper.settings import PERMISSION_MODES, TOOLS, Settings, did_you_mean
from wrapper.settings.webhooks import wrong_secret, wrong_url

PREFIX = "sk-"
LARGEST_LIMIT = 2**31 - 1
HASH = re.compile(r"[0-9a-f]{64}")
# Text that may be a key or a hash in the wrong place. No message may repeat it.
SECRET = re.compile(rf"\b{PREFIX}\S*|[0-9a-fA-F]{{64,}}")
HASH_OF_EMPTY_TEXT = hashlib.sha256(b"").hexdigest()

# The table of a key's tool config.
CONFIG = "config"
# A URL may have a secret, too.
WEBHOOK = ("webhook_url", "webhook_secret")
# The ceilings that a key's table may set beside its hash, with their meanings.
CEILINGS: Mapping[str, str] = {
    row.name: row.metadata["meaning"]
    for row in dataclasses.fields(Principal)
    if "meaning" in row.metadata
}


class HashField(fields.String):
    """The SHA-256 of a key, in hex digits."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        digest = value.lower() if isinstance(value, str) else ""
        if not HASH.fullmatch(digest):
            raise ValidationError("Must be 64 hex digits, the SHA-256 of the key.")
        # An unset variable, hashed by mistake, would admit requests without a key.
        if digest == HASH_OF_EMPTY_TEXT:
            raise ValidationError("Is the hash of an empty text; hash the key instead.")
        return digest


class NamesField(fields.Field[tuple[str, ...]]):
    """An array of nonempty names or rules; loads to a tuple."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValidationError('Not a valid array of strings: ["one", "other"].')
        if not all(name.strip() and name.isprintable() for name in value):
            raise ValidationError("Must hold nonempty texts of one line.")
        return tuple(value)


class WordField(fields.String):
    """One of *words*, in upper or lower case, as in the settings; loads to the word itself."""

    def __init__(self, words: tuple[str, ...]):
        super().__init__()
        self._words = {word.lower(): word for word in words}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, *args, **kwargs))
        if (word := self._words.get(text.lower())) is None:
            words = self._words.values()
            hint = did_you_mean([text], words) or "."
            raise ValidationError(f"Must be one of: {', '.join(words)}{hint}")
        return word


def _count() -> StrictInt:
    return StrictInt(validate=Range(1, LARGEST_LIMIT))


def _dollars() -> StrictFloat:
    return StrictFloat(validate=_check_dollars)


def _check_dollars(value: float) -> None:
    if not 0 < value <= LARGEST_LIMIT:  # TOML has inf and nan
        raise ValidationError(f"Must be more than 0 and at most {LARGEST_LIMIT}.")


class ConfigSchema(Schema):
    """A key's tool config."""

    class Meta:
        unknown = RAISE

    allowed_tools = NamesField()
    disallowed_tools = NamesField()
    permission_mode = WordField(PERMISSION_MODES)
    max_turns = _count()
    mcp_servers = NamesField()


class ConfigField(fields.Field[ToolConfig]):
    """A table with a tool config."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> ToolConfig:
        try:
            return ToolConfig(**ConfigSchema().load(value))
        except ValidationError as error:
            name, messages = next(iter(error.messages_dict.items()))
            raise ValidationError(f"{name}: {messages[0]}") from None


class KeySchema(Schema):
    """One key's table; loads to its hash and its principal. Unknown names are refused.

    Checks that depend on *settings* are skipped without them; the gateway makes them later.
    """

    class Meta:
        unknown = RAISE

    sha256 = HashField(
        required=True,
        error_messages={"required": "Is missing; it is the key's hash, as `keys new` writes it."},
    )
    admin = StrictBool()
    models = NamesField()
    fallback_models = NamesField()
    profile = WordField(("plain", "agent"))
    tools = NamesField()
    allowed_tools = NamesField()
    disallowed_tools = NamesField()
    mcp_servers = NamesField()
    mcp_hosts = NamesField()
    permission_mode = WordField(PERMISSION_MODES)
    max_turns = _count()
    requests_per_minute = _count()
    tokens_per_minute = _count()
    concurrent_turns = _count()
    usd_per_day = _dollars()
    usd_per_month = _dollars()
    requires_user = StrictBool()
    user_requests_per_minute = _count()
    user_tokens_per_minute = _count()
    user_concurrent_turns = _count()
    user_usd_per_day = _dollars()
    user_usd_per_month = _dollars()
    webhook_url = fields.String()
    webhook_secret = fields.String()
    config = ConfigField()

    def __init__(self, name: str, settings: Settings | None = None):
        super().__init__()
        self.error_messages["unknown"] = (
            f"Is not a ceiling; the ceilings are {', '.join(CEILINGS)}."
        )
        self._name = name
        self._settings = settings

    @validates("config")
    def check_config(self, value: ToolConfig, data_key: str) -> None:
        self.check_tools(value.disallowed_tools or (), data_key)

    @validates("tools", "allowed_tools", "disallowed_tools")
    def check_tools(self, value: tuple[str, ...], data_key: str) -> None:
        # A mistyped rule would silently deny nothing.
        settings = self._settings
        tools = sorted({*TOOLS, *settings.claude_tools} if settings else ())
        if settings and data_key == "tools":
            tools += settings.messages_server_tools
        for rule in value if tools else ():
            if read_rule(rule):
                continue
            if not (rule in tools if data_key == "tools" else is_rule(rule, tools)):
                raise ValidationError(
                    f"{rule[:80]!r} matches no tool; the tools are {', '.join(tools)}"
                    f"{did_you_mean([rule.partition('(')[0]], tools) or '.'}"
                )

    @validates("allowed_tools")
    def check_commands(self, value: tuple[str, ...], data_key: str) -> None:
        if self._settings and (rules := rules_that_open(value, self._settings)):
            raise ValidationError(
                f"{', '.join(rules)[:80]!r} would run with all rights of the gateway's user; "
                f"remove it, or {HOW_TO_OPEN}."
            )

    @validates("permission_mode")
    def check_mode(self, value: str, data_key: str) -> None:
        if value == "bypassPermissions" and self._settings and not self._settings.allow_bypass:
            raise ValidationError(
                "bypassPermissions lets this key run anything; set ALLOW_BYPASS=true if that is "
                "intended."
            )

    @validates("webhook_url")
    def check_webhook_url(self, value: str, data_key: str) -> None:
        hosts = self._settings.webhook_private_hosts if self._settings else None
        if why := wrong_url(value, hosts):
            raise ValidationError(f"{why[:1].upper()}{why[1:]}.")

    @validates("webhook_secret")
    def check_webhook_secret(self, value: str, data_key: str) -> None:
        if why := wrong_secret(value):
            raise ValidationError(f"{why[:1].upper()}{why[1:]}.")

    @validates_schema
    def check_webhook(self, data: dict[str, Any], **_: Any) -> None:
        if ("webhook_url" in data) != ("webhook_secret" in data):
            missing = next(name for name in WEBHOOK if name not in data)
            raise ValidationError(
                f"Is missing; a webhook needs {' and '.join(WEBHOOK)}. `keys webhook` sets both.",
                missing,
            )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> tuple[str, Principal]:
        return data.pop("sha256"), Principal(self._name, shares=True, **data)


def check_name(name: str) -> None:
    """Raise ValueError, with the reason, if a key may not have this *name*."""
    if SECRET.search(name):
        raise ValueError("names appear in logs, and this one looks like a key; choose another")
    if name in RESERVED:
        raise ValueError(f"the name {name!r} is reserved for the gateway; choose another")
    Principal(name)


def load_key(name: str, table: Any, settings: Settings | None = None) -> tuple[str, Principal]:
    """Return the hash and the principal of the key *name*; *table* is its TOML table.

    Raises ValidationError with a list of messages for each field, or for "" if the whole is wrong.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise ValidationError({"": [f"{error}."]}) from None
    if not isinstance(table, dict):
        raise ValidationError({"": ["Must be a table."]})
    loaded: tuple[str, Principal] = KeySchema(name, settings).load(table)
    return loaded
