"""Shapes and arithmetic of a graph, without running it."""
