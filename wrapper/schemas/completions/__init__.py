"""The request and the response of OpenAI's older completions API."""
