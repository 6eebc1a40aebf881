"""The face: the command `vampbench`, and what it does."""

from vampnet_models.telemetry import turn_off

turn_off()
