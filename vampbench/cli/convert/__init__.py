"""Commands that make variants."""
