"""The main job, and what it feeds its models with."""
