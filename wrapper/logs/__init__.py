"""The log: its format, and what it redacts."""
