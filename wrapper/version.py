"""The version of the gateway, which packaging and the OpenAPI document read."""

__version__ = "0.1.0"
