"""Model to variant."""

from vampnet_models.telemetry import turn_off

turn_off()
