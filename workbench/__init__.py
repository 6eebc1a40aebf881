"""The face: Click commands, each a thin call into a room below."""

from vampnet_models.telemetry import turn_off

turn_off()
