"""The client of MCP servers that callers bring: it connects to no address that is not checked."""
