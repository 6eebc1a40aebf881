"""A model on disk: read, checked, written, and opened in a session."""
