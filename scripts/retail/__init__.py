"""The retail example's own Python: what its models and its bundled sample need in addition to SQL."""
