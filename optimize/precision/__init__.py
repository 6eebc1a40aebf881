"""One precision per file; each says which nodes it leaves, and why."""
