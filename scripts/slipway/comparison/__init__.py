"""How two versions of a table differ: what a model declares about it, the comparison, the verdict, the report.

``policy``, ``results`` and ``report`` do no input or output. Imports ``engines`` and what is below it.
Start with ``compare.compare_builds``.
"""
