"""Jobs: work that goes on without a client that waits for it."""
