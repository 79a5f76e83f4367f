"""What computes and writes tables, a folder for each engine.

Imports ``iceberg`` and what is below it; no engine knows of releases, runs or dbt.
"""
