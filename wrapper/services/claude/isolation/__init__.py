"""Isolation of an agent's commands from the gateway and from each other."""
