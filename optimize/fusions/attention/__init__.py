"""Fusions of attention."""
