"""Requests that are over: a log of them that can be searched, kept for some days."""
