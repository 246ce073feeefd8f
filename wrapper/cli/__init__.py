"""The commands of `claude-code-gateway` and of `flask … gateway`."""
