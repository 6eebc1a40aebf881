"""What is claimed about speed and memory: scripts, and their raw results."""

from vampnet_models.telemetry import turn_off

turn_off()
