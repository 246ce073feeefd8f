"""JSON texts: what must be known of one before or while it is parsed."""
