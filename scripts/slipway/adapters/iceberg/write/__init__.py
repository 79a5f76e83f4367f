"""From a query to a staged snapshot: what is replaced, how files are written, what is checked."""
