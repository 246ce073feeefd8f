"""The table of every parameter of OpenAI's Responses API, and its treatment here."""

from __future__ import annotations

from wrapper.schemas.parameters import USER, ParameterTable, honoured, ignored, refused

_CACHING = "Claude Code manages the cache itself."

PARAMETERS = ParameterTable(
    model=honoured("One of /models."),
    input=honoured(
        "A text, or items: messages, function calls and their outputs, custom tool calls and "
        "their outputs, reasoning, approvals of MCP servers' tools, and item_reference to a stored "
        "item. Items that Claude has no "
        "form for are named in x-ignored-params or refused by name. Needed without "
        "previous_response_id."
    ),
    previous_response_id=honoured(
        "A stored response of the caller's, which this one continues, without its instructions, "
        "tools and other parameters."
    ),
    store=honoured(
        "Whether the response is kept, so that it can be continued and read. Default: as "
        "RESPONSES_STORE says. If it cannot be kept, the response says store: false, and "
        "x-ignored-params names store."
    ),
    instructions=honoured("The first part of the system prompt.", ""),
    stream=honoured("Whether the answer is sent as server-sent events.", False),
    max_output_tokens=honoured(
        "The most tokens of the answer, including thinking. A value above the model's maximum "
        "is reduced to it and named in x-clamped-params."
    ),
    temperature=honoured(
        "0 to 2. A value above 1, the model's maximum and default, is sent as 1 and named in "
        "x-clamped-params. Without effect on models that do not support it.",
        1,
    ),
    top_p=honoured("0 to 1. Without effect on models that do not support it.", 1),
    reasoning=honoured(
        "effort: none to max; an effort excludes a temperature or top_p below 1. summary: any "
        "value adds the model's thinking to reasoning items. mode: only standard.",
        {},
    ),
    text=honoured(
        "format: text, json_object, or json_schema; the answer is checked against the schema. "
        "verbosity is without effect.",
        {},
        {"format": {"type": "text"}},
    ),
    tools=honoured(
        "function, custom (without its grammar, which the description then states), "
        "namespace, and mcp for a server of the gateway or, where that is allowed, one with a "
        "server_url. Hosted tools that "
        "every request of some clients names (web_search, "
        "image_generation, tool_search) are left out and named in x-ignored-params; others "
        "are refused.",
        [],
    ),
    tool_choice=honoured("Which tools the model may or must call.", "none", "auto"),
    parallel_tool_calls=honoured("Whether one answer may contain several calls.", True),
    metadata=honoured("Up to 16 pairs, which the answer repeats.", {}),
    include=honoured(
        "reasoning.encrypted_content adds the thinking's signed form to reasoning items, so "
        "that it can be sent back. Values about hosted tools ask for nothing here.",
        [],
    ),
    claude=honoured("Options of Claude Code, as in chat completions, without prefill."),
    conversation=refused("The gateway stores no conversations; use previous_response_id."),
    background=honoured(
        "Whether the response runs without a client that waits: it is answered at once as queued, "
        "and then read, streamed or cancelled by its id. It has to be stored.",
        False,
    ),
    prompt=refused("The gateway stores no prompts; send instructions and input."),
    session_id=refused("Sessions are for chat completions; use previous_response_id."),
    top_logprobs=refused("Claude does not report probabilities.", 0),
    stream_options=ignored("Nothing is obfuscated.", {}, {"include_obfuscation": False}),
    truncation=ignored("A conversation that is too long is refused.", "disabled"),
    max_tool_calls=ignored("It counts hosted tools, which are not here."),
    context_management=ignored(_CACHING, []),
    prompt_cache_key=ignored(_CACHING),
    prompt_cache_options=ignored(_CACHING, {}),
    prompt_cache_retention=ignored(_CACHING),
    safety_identifier=ignored(USER),
    user=ignored(f"{USER} Not beside safety_identifier."),
    service_tier=ignored("The answer's service_tier is always default.", "auto", "default"),
    background_options=ignored(
        "A response begins as soon as there is a place for it.",
        {},
        {"completion_window": "soonest"},
    ),
    image=ignored("Images are sent as they are.", {"context_compression": "auto"}),
    access_programs=ignored("They are OpenAI's own.", {"cyber": "standard"}),
    moderation=ignored("What the model's provider refuses ends with content_filter."),
)
