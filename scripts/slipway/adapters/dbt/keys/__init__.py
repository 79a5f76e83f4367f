"""What node keys are made from: code without its comments, what code reads beside data, and the engine."""
