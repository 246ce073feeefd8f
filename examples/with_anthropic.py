"""A tool loop with Anthropic's own library: python examples/with_anthropic.py

It calls the gateway at ANTHROPIC_BASE_URL, which does not end in /v1, with the key
ANTHROPIC_API_KEY if the gateway requires one. It needs `pip install anthropic`.
"""

import os
from typing import Any

from anthropic import Anthropic

TOOLS: list[Any] = [
    {
        "name": "get_temperature",
        "description": "Tells how warm it is in a city now, in degrees Celsius.",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
]

client = Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://127.0.0.1:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "unused"),
)
messages: list[Any] = [{"role": "user", "content": "What is the temperature in Oslo?"}]
while True:
    with client.messages.stream(
        model="sonnet", max_tokens=2000, messages=messages, tools=TOOLS
    ) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
        answer = stream.get_final_message()
    # All of it goes back, with the thinking and its signature.
    messages.append({"role": "assistant", "content": answer.content})
    calls = [block for block in answer.content if block.type == "tool_use"]
    if not calls:
        break
    results: list[Any] = []
    for call in calls:
        print(f"> {call.name} {call.input}")
        text = f"It is 4 °C in {call.input['city']}."
        results.append({"type": "tool_result", "tool_use_id": call.id, "content": text})
    messages.append({"role": "user", "content": results})
print()
