"""Doctor: checks of an environment, and how what they find is repaired.

Imports ``maintenance``, ``landing``, ``releases`` and what is below them. Start with ``diagnose``.
"""
