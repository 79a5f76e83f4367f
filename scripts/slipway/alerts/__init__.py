"""Alerts: people are notified of what went wrong, once for each cause, and once when it is over.

Start in ``notify``: it takes what a run (``observed``) or a look between runs (``watch``) has found, compares it with the causes that are open
(``causes``, rules without input or output; ``alert_state`` keeps them in the warehouse), and sends what is due (``delivery``) where ``routes``, that is
alerts.yml, says. ``lineage`` knows from dbt's manifest who is affected.
"""
