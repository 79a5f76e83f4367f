"""How each kind of catalog is opened, and made to name what was staged.

Start with ``opening``: it finds out of which kind a catalog is, and ``kinds`` says what each can do. ``next_step`` decides
what happens to a table where tables are moved one by one.
"""
