"""Have a conversation that the gateway remembers: each request carries only what is new.

python examples/session_continuity.py

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

from __future__ import annotations

import os
import uuid

from openai import OpenAI

URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
KEY = os.environ.get("OPENAI_API_KEY", "unused")
QUESTIONS = ("My name is Ada. Say hello.", "I like green tea.", "What do you know about me?")


def main() -> None:
    session = f"example-{uuid.uuid4()}"
    with OpenAI(base_url=URL, api_key=KEY) as client:
        for question in QUESTIONS:
            print(f"> {question}")
            print(ask(client, session, question))
        show(client, session)
        client.delete(f"/sessions/{session}", cast_to=object)
        print("The session is deleted.")


def ask(client: OpenAI, session: str, question: str) -> str | None:
    """Send only the question; the gateway knows the rest by the session's name."""
    answer = client.chat.completions.create(
        model="sonnet",
        messages=[{"role": "user", "content": question}],
        extra_body={"session_id": session, "claude": {"profile": "plain"}},
    )
    return answer.choices[0].message.content


def show(client: OpenAI, session: str) -> None:
    """Print how many sessions there are, and how many messages this one has."""
    sessions = client.get("/sessions", cast_to=dict[str, object])
    details = client.get(f"/sessions/{session}", cast_to=dict[str, object])
    print(f"{sessions['total']} session(s); {details['message_count']} messages in this one.")


if __name__ == "__main__":
    main()
