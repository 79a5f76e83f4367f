"""Doctor: checks an environment, and repairs what the checks find.

Imports ``maintenance``, ``landing``, ``releases`` and what is below them. Start with ``diagnose``.
"""
