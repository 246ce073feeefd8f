"""API keys, and the guard that checks who is calling."""
