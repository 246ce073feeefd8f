"""The request and the answer of Anthropic's Messages API."""
