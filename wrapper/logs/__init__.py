"""The log: its format, and what it leaves out."""
