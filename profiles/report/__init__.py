"""One offline HTML file."""
