"""The limits: how many turns run at once, how many requests a minute, and what a key allows."""
