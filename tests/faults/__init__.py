"""What must not break the gateway: faults of the CLI, of the upstream, of clients."""
