"""Results as people read them, on a terminal and in files; ``output`` is the only module that writes."""
