"""Music through the chain: a variation of a recording, and what each variant makes of it."""
