"""MCP servers: their configuration, who may use them, and how they fare."""
