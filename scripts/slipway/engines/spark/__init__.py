"""Apache Spark: what a session needs so that it computes what DuckDB would, and how a query becomes a staged snapshot there.

Start with ``spark_of_run.SparkOfRun``, which a run asks for writers; ``spark_writer`` writes a model, ``merge_statement`` says how rows change by
their keys, ``local_session`` begins a session on this machine and ``connect_session`` one on a Spark Connect server, ``spark_versions`` says which
Spark, Java and Iceberg belong together.
The package pyspark is an optional extra: nothing here imports it before a session is asked for.
"""
