"""What is told of a variant that was not run beside its source."""

from __future__ import annotations

from pathlib import Path

import click

from optimize.variant import VariantRecord


def tell_not_probed(path: Path, record: VariantRecord) -> None:
    """A line on stderr where no feed went through the variant, with the reason."""
    if record.probe is not None and record.probe.not_probed is not None:
        click.echo(f"{path}: not probed: {record.probe.not_probed}", err=True)
