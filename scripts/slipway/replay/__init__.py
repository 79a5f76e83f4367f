"""Replay: a run built again from what it recorded.

Imports ``comparison``, ``canary`` and what is below them. Start with ``rebuild``.
"""
