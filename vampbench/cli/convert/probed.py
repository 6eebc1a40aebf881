"""What is told of a variant that was not run beside its source."""

from __future__ import annotations

from pathlib import Path

from optimize.variant import VariantRecord
from vampbench.cli.console import Voice


def tell_not_probed(path: Path, record: VariantRecord, voice: Voice) -> None:
    """A warning where no feed went through the variant, with the reason."""
    if record.probe is not None and record.probe.not_probed is not None:
        voice.warn(f"{path}: not probed: {record.probe.not_probed}")
