"""Commands that walk the whole way, and ship."""
