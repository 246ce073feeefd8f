"""A turn's conversation with a process; the only importer of the SDK."""
