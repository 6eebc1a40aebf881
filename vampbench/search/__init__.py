"""The search of `tune`."""
