"""Ask about an image: python examples/pictures.py [IMAGE.png]

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI

# A red square of 16 by 16 pixels.
RED = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQMAAAAlPW0iAAAAA1BMVEXQICCE"
    "GQyAAAAADElEQVR42mNgIA0AAAAwAAEodEl9AAAAAElFTkSuQmCC"
)

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
data = base64.b64encode(Path(sys.argv[1]).read_bytes()).decode() if sys.argv[1:] else RED

answer = client.chat.completions.create(
    model="sonnet",
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in this picture?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
            ],
        }
    ],
    extra_body={"claude": {"profile": "plain"}},
)
print(answer.choices[0].message.content)
