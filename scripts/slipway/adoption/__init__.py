"""Adoption: writes what a dbt project needs for Slipway, says what is left to do by hand, and compares it with what a new version writes.

Start with ``adopt``. The texts are made by ``generated``, which also has the record of what was written; ``additions`` puts lines into YAML.
"""
