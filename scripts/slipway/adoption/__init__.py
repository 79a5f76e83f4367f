"""Slipway in a project of one's own: what a dbt project needs is written, or said, and compared with what a new version writes.

``adopt`` plans and writes the files; ``generated`` makes their texts, from the folder ``templates`` and from the example; ``additions`` puts lines
into YAML that is there; ``written`` is the record of what was written; ``compare_files`` tells one's own changes from those of a version.
"""
