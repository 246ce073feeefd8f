"""OpenAI's older completions API on the real Claude Code, through OpenAI's own client."""

from __future__ import annotations

from typing import Any

import openai

from tests.support.server import MODEL


def test_prompts(gateway, upstream):
    """Each prompt is a turn of its own, and its answer has its place."""
    prompts = ["[[say one]]", "[[say two]]"]
    options: dict[str, Any] = {"extra_body": {"claude": {"profile": "plain"}}}
    texts = {0: "", 1: ""}
    with openai.OpenAI(base_url=gateway.url, api_key="unused", max_retries=0) as client:
        completion = client.completions.create(model=MODEL, prompt=prompts, **options)
        assert [choice.text for choice in completion.choices] == ["one", "two"]
        assert len(upstream.requests) == 2
        stream = client.completions.create(model=MODEL, prompt=prompts, stream=True, **options)
        for chunk in stream:
            for choice in chunk.choices:
                texts[choice.index] += choice.text
    assert texts == {0: "one", 1: "two"}
