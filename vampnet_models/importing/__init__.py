"""Checkpoints to verified models."""
