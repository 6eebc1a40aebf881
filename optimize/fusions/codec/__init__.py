"""Fusions of the codec's layers."""
