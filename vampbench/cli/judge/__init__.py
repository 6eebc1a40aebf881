"""Commands that judge and listen."""
