"""Verification: from a serving table back to landed files and commit, link by link, with what is signed of each release.

Imports what stands below it. Start with ``walk.verify``, which follows the chain; ``signed_releases``, ``signed_tables``, ``signed_runs`` and ``traced_files`` look at its
links, and ``links`` says what a link is. ``declared_modes`` asks the commits whether a newer file takes the place of earlier ones.
"""
