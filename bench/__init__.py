"""Benchmarks and soak tests. Run them from the repository's root."""
