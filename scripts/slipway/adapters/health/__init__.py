"""Checks of ``slipway doctor``, and how what they find is repaired."""
