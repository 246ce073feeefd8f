"""Responses in the background: each runs as a job, and its events are logged for who follows it."""
