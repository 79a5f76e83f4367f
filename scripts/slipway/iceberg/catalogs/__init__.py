"""How each kind of catalog is opened, and made to name what was staged.

Start with ``commit``: all tables in one step where the catalog can, otherwise one by one, as ``next_step`` decides.
"""
