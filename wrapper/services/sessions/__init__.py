"""The sessions: conversations that the gateway remembers, and where it keeps them."""
