"""Try what Claude Code does not document before processes rely on it."""
