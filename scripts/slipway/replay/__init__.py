"""Replay: a run built again from what it recorded.

Imports ``comparison``, the module of canaries and what is below them. Start with ``rebuild``.
"""
