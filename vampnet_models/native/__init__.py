"""The optional operator library: built here, or brought by a package."""
