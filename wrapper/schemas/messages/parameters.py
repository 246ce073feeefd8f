"""The table of every parameter of Anthropic's Messages API, and its treatment here."""

from __future__ import annotations

from wrapper.schemas.parameters import ParameterTable, honoured, refused

_CEILINGS = "The provider would act outside of the gateway's limits."

PARAMETERS = ParameterTable(
    model=honoured("One of /models."),
    max_tokens=honoured("The most tokens of the answer, including thinking."),
    messages=honoured(
        "The conversation, passed on as it is, with at least one message of the user. A role is "
        "user, assistant or system."
    ),
    system=honoured("A text or blocks, passed on as they are. Nothing is added.", "", []),
    stream=honoured("Whether the answer is sent as server-sent events.", False),
    tools=honoured(
        "Tools of the client, passed on as they are. Those that run at the provider, such as "
        "web_search, need MESSAGES_SERVER_TOOLS, and the key's ceiling tools.",
        [],
    ),
    tool_choice=honoured("Which tools the model may or must call, passed on as it is."),
    thinking=honoured(
        "How the model thinks, passed on as it is. Without it, models think only if they always do."
    ),
    output_config=honoured("The effort, which is high by default, and the form of the answer."),
    temperature=honoured("Passed on as it is."),
    top_p=honoured("Passed on as it is."),
    top_k=honoured("Passed on as it is."),
    stop_sequences=honoured("Passed on as they are.", []),
    metadata=honoured(
        "Passed on as it is. Without it, no user id is sent upstream. The log has the user_id, and "
        "a key's limits of its users count by it.",
        {},
    ),
    context_management=honoured("Passed on as it is."),
    cache_control=honoured("Passed on as it is, here and in blocks."),
    inference_geo=honoured("Passed on as it is."),
    service_tier=honoured("auto or standard_only, passed on as it is."),
    speed=honoured("Only standard: other speeds have other prices."),
    mcp_servers=refused(_CEILINGS, []),
    container=refused(_CEILINGS),
    skills=refused(_CEILINGS, []),
    thread=refused("The gateway stores no conversations.", False),
    claude=refused("Use chat completions or responses for Claude Code's own tools."),
)
