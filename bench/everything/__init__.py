"""Everything that is quoted, made again by one command: `make results`."""
