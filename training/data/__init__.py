"""The training audio."""
