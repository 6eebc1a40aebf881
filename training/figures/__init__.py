"""Figures of the model card, and losses."""
