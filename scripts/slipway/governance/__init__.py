"""Governance: which columns of a table are made from which columns of others, and which are classified because these are.

Start with ``column_lineage.lineages``: for each table of a project, what each of its columns depends on, and what decides which rows it has, or why that is
not known. It needs dbt's manifest with compiled queries, and the columns of the tables; ``column_lineage.upstream`` follows a column over all tables.
``classified_columns.with_lineage`` has classifications follow values. ``recorded_lineage.lineages_of_runs`` is the same for tables of releases. ``query_plan`` reads the lineage of one query from the plan that DuckDB
binds; where a plan has something that it does not know, the lineage is unknown, and every column depends on every column that the model reads.
"""
