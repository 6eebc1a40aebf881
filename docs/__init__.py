"""What README and these pages are made of."""
