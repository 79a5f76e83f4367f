"""Runs: which rules keep one from being published, its history, and where a table comes from.

Imports ``landing``, ``releases`` and what is below them; never dbt. Start with ``decision.decide``.
"""
