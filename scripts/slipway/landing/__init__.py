"""Landing: files of producers, checked against their feed's contract and entered in a ledger before anything reads them.

Imports ``releases`` and what is below it. Start with ``land.Landing``.
"""
