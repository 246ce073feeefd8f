"""The schemas of requests, which load to frozen dataclasses, and of responses."""
