"""Timing and usage of requests, for headers, metrics and signals."""
