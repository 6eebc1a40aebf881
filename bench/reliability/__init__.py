"""Foreign graphs through every recipe."""
