"""Slipway in a project of one's own: what a dbt project needs is written, or said, and compared with what a new version writes.

Start with ``adopt``. The texts are made by ``generated``, which has the record of what was written, too; ``additions`` puts lines into YAML.
"""
