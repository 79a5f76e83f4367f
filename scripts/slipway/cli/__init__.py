"""Commands: parse, call one service, hand the result to output."""
