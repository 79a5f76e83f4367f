"""How two versions of a table differ: records, what a model declares about it, the verdict, the report."""
