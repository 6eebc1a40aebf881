"""Tools on graphs that fusions and precisions share."""
