"""The command line: each command parses, calls one room, and hands what comes of it to ``output``, which alone writes.

Start with ``main``. A command is in the module of its name; a small one is in that of the command it belongs to.
"""
