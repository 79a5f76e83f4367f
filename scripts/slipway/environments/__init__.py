"""Environments: dbt targets of profiles.yml, each with a catalog, a warehouse and credentials of its own.

Imports ``storage`` and the modules at the top of the package. Start with ``environment.Environment``;
``profiles`` reads it from profiles.yml.
"""
