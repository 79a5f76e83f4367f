"""The command line: a module for each command, which parses, calls one room, and hands the result to ``render``."""
