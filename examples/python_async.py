"""Ask three questions at once: python examples/python_async.py

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

import asyncio
import os

from openai import AsyncOpenAI

QUESTIONS = ("What is tea?", "What is coffee?", "What is cocoa?")


async def ask(client: AsyncOpenAI, question: str) -> str:
    answer = await client.chat.completions.create(
        model="sonnet", messages=[{"role": "user", "content": question}]
    )
    return f"> {question}\n{answer.choices[0].message.content}"


async def main() -> None:
    async with AsyncOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "unused"),
    ) as client:
        for answer in await asyncio.gather(*(ask(client, question) for question in QUESTIONS)):
            print(answer)


asyncio.run(main())
