"""Audio to what each model really sees, to tensor statistics."""
