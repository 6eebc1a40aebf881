"""Other tools as makers of variants: each runs apart, and what it made is judged as ours is."""
