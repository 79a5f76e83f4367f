"""What dbt calls, and how dbt is called: plugin, session, materializations, node keys, events, the end of a run.

Imports ``runs`` and what is below it. Start with ``plugin.Plugin``, which hands every operation of a macro to a part of the
``session``; ``start.run`` is ``slipway run``, ``conclude`` the end of every run.
"""
