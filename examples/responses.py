"""The same with the Responses API, which stores the conversation: python examples/responses.py

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

import os
from typing import Any

from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel


class Temperature(BaseModel):
    """Tells how warm it is in a city now, in degrees Celsius."""

    city: str

    def run(self) -> str:
        return f"It is 4 °C in {self.city}."


FUNCTIONS = {"get_temperature": Temperature}
TOOLS: list[Any] = [
    {"type": "function", **pydantic_function_tool(model, name=name)["function"]}
    for name, model in FUNCTIONS.items()
]

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
items: Any = "What is the temperature in Oslo?"
previous = None
while True:
    response = client.responses.create(
        model="sonnet", input=items, previous_response_id=previous, tools=TOOLS
    )
    previous, items = response.id, []
    for call in response.output:
        if call.type == "function_call":
            print(f"> {call.name} {call.arguments}")
            result = FUNCTIONS[call.name].model_validate_json(call.arguments).run()
            output = {"type": "function_call_output", "call_id": call.call_id, "output": result}
            items.append(output)
    if not items:
        break
print(response.output_text)
