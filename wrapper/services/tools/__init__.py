"""The tools of agents: Claude Code's own, those of MCP servers, and how far they are narrowed."""
