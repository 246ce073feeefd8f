"""The Claude Code engine: the only code that knows the CLI, and that imports its SDK."""
