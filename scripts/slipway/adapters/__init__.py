"""The only code that imports dbt, duckdb, pyiceberg or boto3."""
