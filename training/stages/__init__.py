"""The stages of the training."""
