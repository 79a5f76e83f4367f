"""Canaries: versions of the code built on the same pinned inputs, each in a scratch environment, and compared.

Imports ``comparison``, ``dbt`` and what is below them. Start with ``compare_versions``; ``builds`` is what a replay uses, too.
"""
