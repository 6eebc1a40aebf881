"""Same seed, same song: what models and sets play on their own, held beside what FP32 plays."""
