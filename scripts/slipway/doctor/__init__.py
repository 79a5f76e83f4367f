"""Doctor: checks an environment, and repairs what the checks find.

Imports ``runs``, ``releases`` and what is below them. Start with ``diagnose``.
"""
