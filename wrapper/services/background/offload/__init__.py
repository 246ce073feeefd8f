"""Costly checks of what callers send, in child processes that can be stopped."""
