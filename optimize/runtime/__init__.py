"""What the runtime really does with a variant."""
