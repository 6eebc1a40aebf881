"""What is wrong with other exporters' files, and what mends it."""
