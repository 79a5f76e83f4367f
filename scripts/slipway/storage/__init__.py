"""Objects on S3 and in local folders.

Records, Iceberg metadata and the landing area all go through ``objects``; ``s3`` opens the store.
Imports only the modules at the top of the package. Start with ``objects.object_store``.
"""
