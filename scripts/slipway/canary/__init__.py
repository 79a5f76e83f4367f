"""Versions of the code built on the same inputs, each in a scratch environment, and compared.

Imports ``comparison``, ``dbt`` and what is below them. Start with ``two_versions``; ``builds`` makes the builds.
"""
