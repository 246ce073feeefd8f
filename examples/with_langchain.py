"""Stream a LangChain chain: pip install langchain-openai; python examples/with_langchain.py

It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.
"""

import os

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

prompt = ChatPromptTemplate(
    [("system", "You are a poet."), ("user", "Write one line about {thing}.")]
)
model = ChatOpenAI(
    model="sonnet",
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
chain = prompt | model | StrOutputParser()

for text in chain.stream({"thing": "the sea"}):
    print(text, end="", flush=True)
print()
