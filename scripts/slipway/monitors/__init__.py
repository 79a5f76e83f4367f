"""Monitors: is the data as much, as complete, as usual and as early as it should be.

Start with ``verdicts``, which says what is unusual, by ``formulas``; ``service_levels`` says what is late. ``volumes`` reads
how many rows there are by day from Iceberg metadata, ``table_profiles`` makes profiles of columns, and ``column_profiles`` keeps them.
"""
