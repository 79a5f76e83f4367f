"""Where dbt looks for the adapter of profiles with ``type: slipway``."""

from slipway.dbt.adapter import Plugin

__all__ = ["Plugin"]
