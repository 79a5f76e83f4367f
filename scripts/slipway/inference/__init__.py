"""Inference: what files of a new feed look like, found out from samples: how they are read, columns, types, keys, classification.

Every guess keeps its evidence. Start with ``infer``; what may be a number, a date or a code is decided in ``value_types``.
"""
