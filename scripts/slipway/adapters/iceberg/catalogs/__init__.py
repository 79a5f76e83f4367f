"""How each kind of catalog is made to show what was staged."""
