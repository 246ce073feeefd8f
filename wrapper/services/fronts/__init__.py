"""The presenters: a turn's events in the form of each API."""
