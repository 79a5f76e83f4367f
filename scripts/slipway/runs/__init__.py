"""Runs: what one reads and stages, how it ends and which rules keep it from being published, its history and origins.

Imports ``landing``, ``releases`` and what is below them; never dbt. Start with ``run_inputs.RunInputs`` for what a run sees,
with ``end.end_run`` and ``decision.decide`` for what becomes of it.
"""
