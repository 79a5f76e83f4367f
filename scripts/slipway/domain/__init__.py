"""What slipway knows without touching anything: pure types and rules."""
