"""What is written as JSON and read again: each record once, typed, with one reader and writer."""
