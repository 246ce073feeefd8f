"""The table of every parameter of OpenAI's older completions API, and its treatment here."""

from __future__ import annotations

from wrapper.schemas.parameters import (
    NO_EQUIVALENT,
    USER,
    ParameterTable,
    honoured,
    ignored,
    refused,
)

PARAMETERS = ParameterTable(
    model=honoured("One of /models."),
    prompt=honoured(
        "A text, or up to 32 texts, each of which is answered on its own, as a user's message. "
        "Arrays of tokens are refused: Claude's tokens are not OpenAI's."
    ),
    stream=honoured("Whether the answer is sent as server-sent events.", False),
    stream_options=honoured("Only with stream; include_usage."),
    max_tokens=honoured(
        "The most tokens of an answer; OpenAI's default of 16 does not apply. A value above the "
        "model's maximum is reduced to it and named in x-clamped-params."
    ),
    temperature=honoured(
        "0 to 2. A value above 1, the model's maximum and default, is sent as 1 and named in "
        "x-clamped-params. Without effect on models that do not support it.",
        1,
    ),
    top_p=honoured("0 to 1. Without effect on models that do not support it.", 1),
    stop=honoured("A stop sequence, or up to four.", []),
    n=honoured("The number of answers to each prompt, up to 8.", 1),
    echo=honoured("Whether the prompt comes before its answer.", False),
    claude=honoured("Options of Claude Code, as in chat completions, without prefill."),
    suffix=refused(
        "Claude has no form for what follows the answer; describe it in the prompt.", ""
    ),
    logprobs=refused("Claude does not report probabilities."),
    logit_bias=refused("Claude's tokens are not OpenAI's.", {}),
    best_of=refused("Claude does not report which answer is the most probable.", 1),
    session_id=refused("Sessions are for chat completions."),
    presence_penalty=ignored(NO_EQUIVALENT, 0),
    frequency_penalty=ignored(NO_EQUIVALENT, 0),
    seed=ignored(NO_EQUIVALENT),
    user=ignored(USER),
)
