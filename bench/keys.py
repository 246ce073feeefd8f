"""The keys of the soak's callers, their limits, and the file that the gateway reads."""

from __future__ import annotations

from pathlib import Path

from wrapper.auth.key_file import hash_of

USUAL = "usual"
LIMITED = "limited"
REQUESTS_PER_MINUTE = 3
# A budget can be spent once a day. There are many, so that late turns of the soak exceed one, too.
BUDGETED = tuple(f"budgeted-{number}" for number in range(100))
BUDGET_USD = 0.005

# With one turn at a time a key can overspend by one request to the model, and not by several.
BUDGET = f"usd_per_day = {BUDGET_USD}\nconcurrent_turns = 1"
LIMITS = {
    USUAL: "",
    LIMITED: f"requests_per_minute = {REQUESTS_PER_MINUTE}",
    **dict.fromkeys(BUDGETED, BUDGET),
}


def key_of(name: str) -> str:
    return f"sk-soak-{name}"


def authorization(name: str) -> dict[str, str]:
    """Return the header that carries the key *name*."""
    return {"Authorization": f"Bearer {key_of(name)}"}


def write_keys(file: Path) -> None:
    """Write the keys file of all callers."""
    tables = (
        f'[keys.{name}]\nsha256 = "{hash_of(key_of(name))}"\n{limits}\n'
        for name, limits in LIMITS.items()
    )
    file.write_text("\n".join(tables))
