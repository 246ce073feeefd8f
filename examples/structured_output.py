"""Get an answer as a Pydantic model: python examples/structured_output.py

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

import os

from openai import OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str
    country: str
    people: int


client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)

answer = client.chat.completions.parse(
    model="sonnet",
    messages=[{"role": "user", "content": "Tell me about Oslo."}],
    response_format=City,
)
print(repr(answer.choices[0].message.parsed))
