"""Times: processes, rounds, statistics."""
