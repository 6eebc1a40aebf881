"""What several precisions use."""
