"""What the models are: architecture, files, tokens."""
