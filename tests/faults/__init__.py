"""Faults that must not break the gateway: of the CLI, the model's API, clients and the machine."""
