"""Runs: what a run reads and stages, how it ends, which rules prevent its publication, its history, and where tables come from.

Imports ``landing``, ``releases`` and what is below them; never dbt. Start with ``run_inputs.RunInputs`` for what a run sees,
with ``end.end_run`` and ``decision.decide`` for how it ends.
"""
