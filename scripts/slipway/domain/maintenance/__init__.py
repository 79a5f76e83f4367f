"""Maintenance: what is kept of a table's history and why, and what is done about the rest."""
