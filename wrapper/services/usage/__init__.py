"""Usage and costs by key, model and day, kept across restarts."""
