"""The schemas: what a request may hold; they load to frozen dataclasses."""
