"""The code that a run is made with: what git knows of it, and versions of software.

Imports ``records`` and what is below it. Start with ``versions.code_of``.
"""
