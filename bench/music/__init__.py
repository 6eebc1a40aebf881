"""Seconds per 10 s of music, the whole chain."""
