"""Variant and target to measurement or estimate."""

from vampnet_models.telemetry import turn_off

turn_off()
