"""What the page reads: results as typed records."""
