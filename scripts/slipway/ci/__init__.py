"""Slim CI: what a change touches, built against what is published, tested and compared.

Imports ``comparison``, ``dbt`` and what is below them. Start with ``slim_ci``.
"""
