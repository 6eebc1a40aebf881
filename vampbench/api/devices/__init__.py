"""What phones and other devices want of a model, and what they tell of it."""
