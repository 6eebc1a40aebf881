"""One rewrite rule per file."""
