"""Apache Spark: what a session needs so that it computes what DuckDB would, and how one begins on this machine.

Start with ``local_session.local_session``; ``spark_versions`` says which Spark, Java and Iceberg belong together, and refuses others.
The package pyspark is an optional extra: nothing here imports it before a session is asked for.
"""
