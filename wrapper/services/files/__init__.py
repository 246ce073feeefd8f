"""Uploaded files: what is known of each, and their contents."""
