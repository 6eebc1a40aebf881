"""What is claimed about speed and memory: scripts, and their raw results."""

from pathlib import Path

from vampnet_models.telemetry import turn_off

turn_off()

ROOT = Path(__file__).resolve().parents[1]
"""The repository: scripts run in it, and write their results below it."""
