"""Sound files, and the built-in sounds, to clips."""
