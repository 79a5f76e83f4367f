"""Node keys: what the result of a node depends on, as one hash.

Start with ``node_key``; the other modules read code: SQL, Jinja, Python, and the engine's own.
"""
