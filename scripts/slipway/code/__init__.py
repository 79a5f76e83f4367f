"""The code that a run is made with: git, the content of a commit, and versions of software.

Imports ``records`` and what is below it. Start with ``versions.code_of``.
"""
