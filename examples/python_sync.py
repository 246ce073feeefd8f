"""Ask a question: python examples/python_sync.py

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)

answer = client.chat.completions.create(
    model="sonnet",
    messages=[
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "What is a gateway?"},
    ],
)
print(answer.choices[0].message.content)
if answer.usage:
    print(
        f"{answer.model}: {answer.usage.prompt_tokens} tokens in, "
        f"{answer.usage.completion_tokens} out"
    )
