"""What is counted and not measured: arithmetic, bytes, coverage."""
