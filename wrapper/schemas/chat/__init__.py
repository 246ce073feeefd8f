"""The chat completions API: what a request may hold, and what an answer holds."""
