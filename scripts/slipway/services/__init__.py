"""One verb each: land, run, query, inspect, canary, ci, site."""
