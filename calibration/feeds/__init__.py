"""Clips to what each model really sees."""
