"""The errors of Claude Code, and what they mean to a client."""
