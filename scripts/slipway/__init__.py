"""Every dbt run a release: staged, audited, published all at once, recorded."""

__version__ = "0.1.0"
