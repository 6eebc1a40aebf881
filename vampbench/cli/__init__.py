"""Click commands, each a thin call into a room below."""
