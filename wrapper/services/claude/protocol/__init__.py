"""Claude Code's protocol: what goes to its stdin and comes from its stdout. Pure."""
