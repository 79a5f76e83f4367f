"""The documentation site. Imports ``dbt`` and what is below it; start with ``docs_site``."""
