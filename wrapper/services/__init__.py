"""The services: what the gateway does, with no web framework in sight."""
