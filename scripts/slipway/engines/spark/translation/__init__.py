"""DuckDB SQL as Spark SQL that has the same result, or a refusal.

Start with ``translate.translate``. sqlglot parses; ``translator`` walks the tree and refuses every class that has no handler. Handlers write the text for Spark: ``query_clauses`` and ``grouping`` clauses,
``operators``, ``casts`` and ``calls`` expressions, ``text_functions`` and ``moment_functions`` the functions that are ``listed``. Types are never guessed: ``asking`` has DuckDB say which type an operation has,
of the types that its parts have, beginning with the columns of the tables. What is listed is what a parity suite on both engines has cases for.
"""
