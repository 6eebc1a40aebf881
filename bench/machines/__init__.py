"""Other machines, emulated."""
