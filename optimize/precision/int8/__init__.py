"""8-bit activations and weights."""
