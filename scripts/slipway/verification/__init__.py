"""Verification: from a serving table back to landed files and commit, link by link, with what is signed of each release.

Imports what stands below it. Start with ``walk.verify``; what a link is, ``links`` says.
"""
