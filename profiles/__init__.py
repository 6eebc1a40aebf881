"""Variant and target to measurement or estimate."""
