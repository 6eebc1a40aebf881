"""Constants in the form that the precisions take."""
