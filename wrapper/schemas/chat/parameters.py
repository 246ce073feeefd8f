"""The table of every parameter that OpenAI documents for chat completions, and its treatment here.

It includes some parameters of Anthropic's Messages API, since clients send those too.
"""

from __future__ import annotations

from wrapper.schemas.parameters import (
    NO_EQUIVALENT,
    USER,
    ParameterTable,
    honoured,
    ignored,
    refused,
)

_CACHING = "Claude Code manages the cache itself."

PARAMETERS = ParameterTable(
    model=honoured("One of /models."),
    messages=honoured(
        "Every role and form of OpenAI's API. Messages that the model's API does not accept are "
        "sent in another form, which x-adapted-messages names."
    ),
    stream=honoured("Whether the answer is sent as server-sent events.", False),
    stream_options=honoured("Only with stream; include_usage."),
    max_tokens=honoured(
        "The most tokens of an answer; max_completion_tokens takes precedence. A value above the "
        "model's maximum is reduced to it and named in x-clamped-params."
    ),
    max_completion_tokens=honoured("The most tokens of an answer, including thinking."),
    temperature=honoured(
        "0 to 2. A value above 1, the model's maximum and default, is sent as 1 and named in "
        "x-clamped-params. Without effect on models that do not support it.",
        1,
    ),
    top_p=honoured("0 to 1. Without effect on models that do not support it.", 1),
    stop=honoured("A stop sequence, or up to four.", []),
    n=honoured(
        "The number of answers, up to 8 and MAX_CONCURRENT_TURNS; each is a separate turn.", 1
    ),
    reasoning_effort=honoured(
        "A value other than none excludes a temperature or top_p below 1. Without effect on "
        "models that do not think; none has no effect on models that always do."
    ),
    claude=honoured("Options of Claude Code."),
    session_id=honoured(
        "A name for the conversation, which the gateway then remembers: send only new messages."
    ),
    tools=honoured("The client's functions, up to 128.", []),
    tool_choice=honoured("Which tools the model may or must call.", "none", "auto"),
    parallel_tool_calls=honoured("Whether one answer may contain several calls.", True),
    functions=honoured("The older form of tools.", []),
    function_call=honoured("The older form of tool_choice.", "none", "auto"),
    response_format=honoured(
        "text, json_object, or json_schema; the answer is checked against the schema.",
        {"type": "text"},
    ),
    system=honoured(
        "The system prompt in Anthropic's form, a text or text blocks. It precedes the system "
        "messages.",
        "",
        [],
    ),
    thinking=honoured(
        "Anthropic's parameter: disabled means the reasoning_effort none, adaptive means medium, "
        "and enabled the lowest effort whose budget covers budget_tokens (minimal 1024, low 4096, "
        "medium 10,000, high 20,000, else xhigh; without budget_tokens medium). Without effect "
        "beside reasoning_effort and, unless disabled, beside a temperature or top_p below 1."
    ),
    stop_sequences=honoured("Anthropic's name for stop; both may be given.", []),
    logprobs=refused("Claude does not report probabilities.", False),
    top_logprobs=refused("Claude does not report probabilities.", 0),
    logit_bias=refused("Claude's tokens are not OpenAI's.", {}),
    modalities=refused("Answers are text.", ["text"]),
    audio=refused("Answers are text."),
    web_search_options=refused("The agent profile searches on its own."),
    presence_penalty=ignored(NO_EQUIVALENT, 0),
    frequency_penalty=ignored(NO_EQUIVALENT, 0),
    seed=ignored(NO_EQUIVALENT),
    verbosity=ignored("Ask for it in a system message.", "medium"),
    prediction=ignored(NO_EQUIVALENT),
    user=ignored(f"{USER} Not beside safety_identifier."),
    safety_identifier=ignored(USER),
    metadata=ignored("The gateway stores nothing under it.", {}),
    store=ignored("The gateway stores no answers.", False),
    service_tier=ignored("The answer's service_tier is always default.", "auto", "default"),
    prompt_cache_key=ignored(_CACHING),
    prompt_cache_options=ignored(_CACHING, {}),
    prompt_cache_retention=ignored(_CACHING),
    moderation=ignored("Answers that the model's provider refuses end with content_filter."),
    top_k=ignored("Claude Code does not send it.", 0, -1),
    cache_control=ignored(f"{_CACHING} Also in messages, parts, and tools.", {}),
)
