"""Claude Code's protocol: what it reads on stdin and writes on stdout. No I/O here."""
