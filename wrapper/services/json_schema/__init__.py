"""Callers' JSON Schemas: validate them, adapt them for the model, and check answers."""
