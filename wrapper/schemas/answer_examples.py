"""Answers of each operation that the OpenAPI document shows, and an event of each stream.

They are shortened answers of a real gateway to the requests in `examples`.
"""

from __future__ import annotations

from wrapper.json_text import Json

_MODEL = "claude-sonnet-5-5"
_TIME = "2026-11-30T09:20:01+00:00"
_LATER = "2026-11-30T10:20:01+00:00"
_CREATED = 1796030401
_COST = 0.00042
_PROMPT_DETAILS = {"cached_tokens": 0, "cache_write_tokens": 0}
_USAGE: Json = {
    "prompt_tokens": 20,
    "completion_tokens": 4,
    "total_tokens": 24,
    "prompt_tokens_details": {**_PROMPT_DETAILS, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
    "cost_usd": _COST,
}

CHAT: Json = {
    "id": "chatcmpl-dba77b2522c3a9f19c4f2c1e7342449a",
    "object": "chat.completion",
    "created": _CREATED,
    "model": _MODEL,
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Oslo.",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": _USAGE,
}
CHAT_EVENT: Json = {
    "id": CHAT["id"],
    "object": "chat.completion.chunk",
    "created": _CREATED,
    "model": _MODEL,
    "choices": [
        {"index": 0, "delta": {"content": "Oslo."}, "logprobs": None, "finish_reason": None}
    ],
}

_RESPONSE_ID = "resp_41e71d2b02ff3d96650b9ab96d0b4c04"
_ANSWER_ID = "msg_41e71d2b02ff3d96650b9ab96d0b4c04_0"
RESPONSE: Json = {
    "id": _RESPONSE_ID,
    "object": "response",
    "created_at": _CREATED,
    "status": "completed",
    "background": False,
    "completed_at": _CREATED + 1,
    "error": None,
    "incomplete_details": None,
    "instructions": "Answer in one word.",
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
    "model": _MODEL,
    "output": [
        {
            "id": _ANSWER_ID,
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Oslo.", "annotations": [], "logprobs": []}
            ],
        }
    ],
    "usage": {
        "input_tokens": 20,
        "input_tokens_details": _PROMPT_DETAILS,
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 24,
        "cost_usd": _COST,
    },
}
RESPONSE_CANCELLED: Json = {
    **RESPONSE,
    "status": "cancelled",
    "background": True,
    "completed_at": None,
    "output": [],
    "usage": None,
}
RESPONSE_EVENT: Json = {
    "type": "response.output_text.delta",
    "item_id": _ANSWER_ID,
    "output_index": 0,
    "content_index": 0,
    "delta": "Oslo.",
    "logprobs": [],
    "sequence_number": 4,
}
RESPONSE_DELETED: Json = {"id": _RESPONSE_ID, "object": "response", "deleted": True}
_INPUT_ID = "in_41e71d2b02ff3d96650b9ab96d0b4c04_0"
INPUT_ITEMS: Json = {
    "object": "list",
    "data": [
        {
            "id": _INPUT_ID,
            "role": "user",
            "content": [{"type": "input_text", "text": "What is the capital of Norway?"}],
            "type": "message",
        }
    ],
    "first_id": _INPUT_ID,
    "last_id": _INPUT_ID,
    "has_more": False,
}

COMPLETION: Json = {
    "id": "cmpl-8ff2210e2406a3cd6326e4c7b6031c26",
    "object": "text_completion",
    "created": _CREATED,
    "model": _MODEL,
    "choices": [{"text": "Hello.", "index": 0, "logprobs": None, "finish_reason": "stop"}],
    "usage": _USAGE,
}
COMPLETION_EVENT: Json = {
    **{name: value for name, value in COMPLETION.items() if name != "usage"},
    "choices": [{"text": "Hel", "index": 0, "logprobs": None, "finish_reason": None}],
}

MESSAGE: Json = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "model": _MODEL,
    "content": [{"type": "text", "text": "Oslo."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 4,
    },
}
MESSAGE_EVENT: Json = {
    "type": "content_block_delta",
    "index": 0,
    "delta": {"type": "text_delta", "text": "Oslo."},
}

MODEL: Json = {
    "id": "sonnet",
    "object": "model",
    "created": 0,
    "type": "model",
    "created_at": "1970-01-01T00:00:00Z",
    "owned_by": "anthropic",
    "runs": _MODEL,
    "name": "Sonnet",
    "display_name": "Sonnet",
    "min_claude_code_version": None,
    "supports": {
        "temperature": False,
        "top_p": False,
        "reasoning_effort": True,
        "effort_levels": True,
        "thinking_off": False,
        "max_output_tokens": 128000,
    },
}
MODELS: Json = {
    "object": "list",
    "data": [MODEL],
    "has_more": False,
    "first_id": "sonnet",
    "last_id": "sonnet",
}

_SESSION: Json = {
    "session_id": "geography",
    "created_at": _TIME,
    "last_accessed": _TIME,
    "message_count": 3,
    "expires_at": _LATER,
}
SESSIONS: Json = {"sessions": [_SESSION], "total": 1}
SESSION: Json = {
    **_SESSION,
    "messages": [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "What is the capital of Norway?"},
        {"role": "assistant", "content": "Oslo."},
    ],
}
SESSION_STATS: Json = {
    "sessions": 1,
    "turns": 1,
    "prompt_tokens": 20,
    "cached_tokens": 0,
    "completion_tokens": 4,
    "reasoning_tokens": 0,
    "total_tokens": 24,
    "cost_usd": _COST,
    "oldest": _TIME,
    "newest": _TIME,
    "parked_processes": 1,
    "resumed_turns": 0,
}
SESSION_DELETED: Json = {"session_id": "geography", "deleted": True}
