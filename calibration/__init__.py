"""Audio to what each model really sees, to tensor statistics."""

from vampnet_models.telemetry import turn_off

turn_off()
