"""Let the model call a function until it can answer: python examples/functions.py

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
TOOLS = [pydantic_function_tool(model, name=name) for name, model in FUNCTIONS.items()]

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
messages: list[Any] = [{"role": "user", "content": "What is the temperature in Oslo?"}]
while True:
    answer = client.chat.completions.create(model="sonnet", messages=messages, tools=TOOLS)
    message = answer.choices[0].message
    messages.append(message)
    for call in message.tool_calls or ():
        if call.type == "function":
            print(f"> {call.function.name} {call.function.arguments}")
            result = FUNCTIONS[call.function.name].model_validate_json(call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result.run()})
    if not message.tool_calls:
        break
print(message.content)
