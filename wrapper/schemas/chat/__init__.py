"""The request and the response of the chat completions API."""
