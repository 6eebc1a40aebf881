"""What is claimed about speed and memory: scripts, and their raw results."""
