"""Replay: a run built again from what it recorded.

Imports ``canary``, ``comparison`` and what is below them. Start with ``rebuild``.
"""
