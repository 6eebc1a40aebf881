"""What the models are: architecture, files, tokens."""

from vampnet_models.telemetry import turn_off

turn_off()
