"""Model to variant."""
