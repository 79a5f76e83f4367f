"""Records of runs and releases below ``_slipway/`` in the warehouse: written once, and never changed.

The types of the records are ``run_manifest`` with ``node_results``, ``landed_files`` and ``conservation``, and ``release_records``; ``store`` puts them where they belong,
``record_files`` reads one.
Imports ``environments`` and ``storage``. Start with ``run_manifest.RunManifest``.
"""
