"""What README and these pages are made of."""

from vampnet_models.telemetry import turn_off

turn_off()
