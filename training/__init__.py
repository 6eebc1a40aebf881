"""How the reference models were trained. Needs the extra `train`; nothing imports this package."""

from vampnet_models.telemetry import turn_off

turn_off()
