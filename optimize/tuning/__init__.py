"""The best mixture of precisions within a budget."""
