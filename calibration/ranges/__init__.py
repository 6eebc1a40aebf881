"""What each model really sees to ranges of its tensors."""
