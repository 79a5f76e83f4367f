"""Two relations compared inside DuckDB: by key, or as multisets of whole rows."""
