"""``slipway check``: what is wrong with the code of a project, found without a row of data.

Every query is bound by DuckDB against tables without rows, whose columns come from contracts, from seeds and from the queries before it. Imports ``dbt``
and what is below it. Start with ``project_check.check``; what a finding is, is in ``check_report``.
"""
