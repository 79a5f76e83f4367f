"""The version that dbt shows of the adapter."""

import slipway

version = slipway.__version__
