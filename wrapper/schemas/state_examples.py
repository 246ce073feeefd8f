"""Answers about tools, spending and the gateway's own state, which the OpenAPI document shows.

They are shortened answers of a real gateway.
"""

from __future__ import annotations

from wrapper.json_text import Json

_DAY, _TIME = "2026-11-30", "2026-11-30T09:20:01+00:00"
_LATER = "2026-11-30T09:30:01+00:00"
_MONTH = "2026-11-01"

APPROVAL: Json = {
    "object": "approval",
    "id": "apr_4c1e0bb3f2b64f6f9a0d6f2f2b1f7c11",
    "status": "pending",
    "key": "alice",
    "session_id": "my-session",
    "request_id": "req_995d4296541c54bfa4d970a52cd8d2ff",
    "response_id": None,
    "kind": "tool",
    "tool": "Edit",
    "input": {"file_path": "notes.txt", "old_string": "teh", "new_string": "the"},
    "preview": "--- notes.txt\n+++ notes.txt\n@@ @@\n-teh\n+the\n",
    "answer_schema": None,
    "session_rule": "Edit",
    "created_at": _TIME,
    "expires_at": _LATER,
    "scope": None,
    "reason": None,
    "decided_by": None,
}
APPROVALS: Json = {"object": "list", "data": [APPROVAL]}
APPROVAL_DECIDED: Json = {
    **APPROVAL,
    "status": "approved",
    "scope": "once",
    "decided_by": "alice",
}

WEBHOOKS: Json = {
    "object": "list",
    "data": [
        {
            "object": "webhook.delivery",
            "id": "evt_2f1f7a64c37a4ad9b6f0a86b1bd0f6ac",
            "type": "approval.waiting",
            "key": "alice",
            "url": "https://alice.example.com/hook",
            "created_at": _TIME,
            "status": "pending",
            "attempts": 2,
            "last_status": 503,
            "last_error": "it answered with 503",
            "next_attempt_at": _LATER,
        }
    ],
    "first_id": "evt_2f1f7a64c37a4ad9b6f0a86b1bd0f6ac",
    "last_id": "evt_2f1f7a64c37a4ad9b6f0a86b1bd0f6ac",
    "has_more": False,
}

MCP_SERVERS: Json = {
    "object": "list",
    "data": [
        {
            "name": "docs",
            "type": "http",
            "state": "connected",
            "since": _TIME,
            "tools": ["mcp__docs__search"],
            "last_error": None,
            "last_error_at": None,
        }
    ],
}

TOOLS: Json = {
    "object": "list",
    "data": [
        {
            "object": "tool",
            "name": "Read",
            "description": "Reads a file from the local filesystem.",
            "input_schema": {
                "type": "object",
                "properties": {"file_path": {"type": "string"}},
                "required": ["file_path"],
            },
            "origin": "claude_code",
            "access": "allowed",
            "reason": "It reads in the agent's working directory.",
            "rule": None,
        }
    ],
    "unlisted": [],
}
TOOL_STATS: Json = {
    "object": "tools.stats",
    "start": _MONTH,
    "end": _DAY,
    "data": [
        {
            "key": "alice",
            "tool": "Read",
            "uses": 12,
            "failures": 1,
            "denials": 0,
            "seconds": 0.049,
        }
    ],
}
TOOL_CONFIG: Json = {
    "object": "tools.config",
    "session_id": "my-session",
    "config": {
        "allowed_tools": ["Read", "Glob", "Grep"],
        "disallowed_tools": None,
        "permission_mode": None,
        "max_turns": 10,
        "mcp_servers": None,
    },
    "effective": {
        "allowed_tools": ["Glob", "Grep", "Read"],
        "disallowed_tools": [],
        "permission_mode": "acceptEdits",
        "max_turns": 10,
        "mcp_servers": None,
    },
}

_AMOUNTS: Json = {
    "requests": 5,
    "prompt_tokens": 2020,
    "cached_tokens": 0,
    "cache_write_tokens": 0,
    "completion_tokens": 7,
    "reasoning_tokens": 0,
    "total_tokens": 2027,
    "cost_usd": 0.00411,
    "unpriced_usd": 0.0,
}
USAGE: Json = {
    "object": "usage",
    "start": _MONTH,
    "end": _DAY,
    "data": [{"day": _DAY, "key": "alice", "model": "claude-sonnet-5-5", **_AMOUNTS}],
    "total": _AMOUNTS,
    "forecast": {
        "day": {"spent_usd": 0.25, "expected_usd": 0.6, "ends_at": "2026-12-01T00:00:00Z"},
        "month": {"spent_usd": 0.25, "expected_usd": None, "ends_at": "2026-12-01T00:00:00Z"},
    },
    "budgets": {},
}

_LEARNED = "2026-11-30T09:12:03Z"
_SOON, _LATER = "2026-11-30T12:00:00Z", "2026-12-04T12:00:00Z"
_WARNED: Json = {"status": "allowed_warning", "learned_at": _LEARNED}
LIMITS: Json = {
    "object": "limits",
    "logins": [
        {
            "login": "claude_cli-1a2b3c4d",
            **_WARNED,
            "windows": [
                {"name": "five_hour", "model": None, "used": 0.83, "resets_at": _SOON, **_WARNED},
                {
                    "name": "seven_day_opus",
                    "model": "opus",
                    "status": "allowed",
                    "used": 0.21,
                    "resets_at": _LATER,
                    "learned_at": _LEARNED,
                },
            ],
            "overage": {
                "status": "rejected",
                "in_use": False,
                "disabled_reason": "org_level_disabled",
                "resets_at": None,
                "learned_at": _LEARNED,
            },
        }
    ],
    "key": {
        "name": "alice",
        "rates": [{"what": "requests", "limit": 60, "remains": 59, "resets_in_seconds": 41}],
        "budgets": {
            "usd_per_day": {
                "limit_usd": 5.0,
                "spent_usd": 0.25,
                "resets_at": _LATER,
                "exhausted_at": None,
            }
        },
    },
}

AUTH: Json = {
    "method": "anthropic",
    "reason": "ANTHROPIC_API_KEY is set",
    "billed": "api_key",
    "ready": True,
    "missing": [],
    "expires_at": None,
    "warning": None,
    "cli": {
        "version": "2.1.330",
        "path": "/usr/local/bin/claude",
        "error": None,
        "trials": {},
    },
    "account": {
        "provider": "firstParty",
        "key_source": "ANTHROPIC_API_KEY",
        "token_source": "none",
    },
}

_READY: Json = {"status": "ready", "ready": 2, "booting": 0}
HEALTH: Json = {
    "status": "ok",
    "login": {"status": "ok"},
    "pools": {"agent": _READY, "plain": _READY},
    "parked": 1,
    "trials": {},
    "warm_up": {"agent": {"status": "on"}, "plain": {"status": "on"}},
    "ignored_frames": {},
    "turns": {"running": 1, "waiting": 0, "places": 24, "approvals": 0},
    "machine": {"status": "ok"},
    "usage": {"status": "ok", "unbooked": 0},
    "sessions": {"status": "ok"},
    "responses": {"status": "ok"},
    "jobs": {
        "status": "ok",
        "waiting": {"batch": 1},
        "running": {"batch": 0},
        "lines_waiting": 240,
    },
}
READINESS: Json = {"status": "ready"}
METRICS = """\
# HELP claude_gateway_turns_running Turns that are running.
# TYPE claude_gateway_turns_running gauge
claude_gateway_turns_running 1.0
"""
DOCUMENT: Json = {
    "openapi": "3.1.0",
    "info": {"title": "claude-code-gateway", "version": "0.1.0"},
    "paths": {"/v1/models": {"get": {"summary": "List every model that the caller may use."}}},
    "components": {"schemas": {}},
    "servers": [{"url": "http://127.0.0.1:8000"}],
}
KEY_DATA_DELETED: Json = {
    "object": "key.data.deleted",
    "key": "alice",
    "deleted": {
        "background_responses": 2,
        "batches": 1,
        "turns": 0,
        "approvals": 0,
        "responses": 14,
        "files": 3,
        "webhooks": 3,
        "sign_ins": 1,
        "sessions": 5,
        "requests": 210,
    },
    "valid": False,
}
