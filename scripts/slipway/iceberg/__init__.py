"""Iceberg tables: metadata, schemas, types, partitions, snapshots, and the catalogs that name them.

Nothing here runs a query; engines do. Imports ``records``, ``environments`` and ``storage``.
Start with ``tables.Tables``: what a catalog names, and metadata that it does not name yet. ``commit`` makes it name
them: all in one step where the catalog can.
"""

from pyiceberg.typedef import IcebergBaseModel, IcebergRootModel

# pydantic builds a validator when a model is first used, not when it is defined: of the many of pyiceberg a command uses few;
# only pydantic 2.14 and later do so in several threads
for _base in (IcebergBaseModel, IcebergRootModel):
    _base.model_config["defer_build"] = True
