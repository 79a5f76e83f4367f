"""What computes and writes tables, a folder for each engine; ``writers`` says what they have in common.

Imports ``iceberg`` and what is below it; no engine knows of releases, runs or dbt.
"""
