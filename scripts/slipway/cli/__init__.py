"""The command line: each command parses its options, calls one room, and passes the result to ``output``, the only module that prints.

Start with ``main``. A command is in the module of its name; a small one is in that of the command it belongs to.
"""
