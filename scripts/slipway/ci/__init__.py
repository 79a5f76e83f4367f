"""Slim CI: build what a change touches against the state of the release that it was cut from, test it, and compare the tables.

Imports ``comparison``, ``dbt`` and what is below them. Start with ``build_change.ci``; which release a change is compared with is in
``base_release``.
"""
