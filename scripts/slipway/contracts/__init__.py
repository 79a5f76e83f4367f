"""Data contracts of the project in the Open Data Contract Standard: what producers promise, and what is promised to consumers.

Start at ``contract_files``, which finds and reads them; ``model`` is what they become, ``standard`` holds a document to the standard, ``products`` compares it with models,
``contract_changes`` two versions of one; ``typed_rows`` makes SQL of it.
"""
