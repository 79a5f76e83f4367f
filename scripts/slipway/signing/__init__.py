"""Signatures of releases: which keys count, DSSE envelopes, and the in-toto statements in them.

Imports ``records``. Start with ``envelopes.read_bundle``; keys are in ``signing_keys``, what is stated in ``statements``. Which release is signed when is
decided in ``releases``.
"""
