"""Releases: candidates, publishing in one step, rollback, retirement, holds and leases.

Imports ``engines``, ``iceberg``, ``code``, ``records`` and what is below them. Start with ``publication.release`` for how a
run is published, and with ``published.Published`` for what readers see.
"""
