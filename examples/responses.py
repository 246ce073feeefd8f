"""The same with the Responses API, and the model's thinking sent back: python examples/responses.py

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
items: list[Any] = [{"role": "user", "content": "What is the temperature in Oslo?"}]
while True:
    response = client.responses.create(
        model="sonnet",
        input=items,
        tools=TOOLS,
        store=False,
        include=["reasoning.encrypted_content"],
    )
    items += response.output
    calls = [item for item in response.output if item.type == "function_call"]
    for call in calls:
        print(f"> {call.name} {call.arguments}")
        result = FUNCTIONS[call.name].model_validate_json(call.arguments).run()
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    if not calls:
        break
print(response.output_text)
