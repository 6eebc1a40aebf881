"""Runtimes and variants interleaved."""
