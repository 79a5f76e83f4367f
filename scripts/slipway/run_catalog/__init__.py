"""The run's own catalog: an Iceberg REST catalog by which another engine reads and writes the tables of one run.

Start with ``catalog.RunCatalog``, which pins what is read and stages what is committed; ``commit_rules`` has what a commit may do,
``rest_protocol`` the requests, ``rest_server`` the socket, ``refusals`` the answers to what is not allowed.
"""
