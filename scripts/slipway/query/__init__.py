"""Reading published tables: ``slipway sql`` and ``slipway connect``.

Imports ``runs``, ``releases`` and what is below them. Start with ``queries``; ``sandbox`` says what a query may do.
"""
