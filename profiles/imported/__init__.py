"""Times that other tools measured."""
