"""Opens each kind of catalog, and makes it name the staged metadata.

Start with ``opening``: it finds the kind of a catalog, and ``kinds`` says what each kind can do. ``next_step`` decides
what happens to a table where tables are moved one by one.
"""
