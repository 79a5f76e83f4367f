"""Maintenance: which states of tables are kept and why, and what happens to the rest.

``retention``, ``protection`` and ``steps`` decide without input or output, ``survey`` looks, ``apply`` acts.
Imports ``releases`` and what is below it. Start with ``steps``.
"""
