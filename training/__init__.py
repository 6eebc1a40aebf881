"""How the reference models were trained. Needs the extra `train`; nothing imports this package."""
