"""Runs: the end of one, which rules keep it from being published, its history, and where a table comes from.

Imports ``landing``, ``releases`` and what is below them; never dbt. Start with ``end.end_run`` and ``decision.decide``.
"""
