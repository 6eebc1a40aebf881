"""`vampbench import-profile`: what another tool measured on a real device."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api.devices import imported as importing
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.records.generic import IMPORTED, versioned
from vampnet_models.records.imported import ImportedFile
from vampnet_models.text import megabytes


@click.command("import-profile")
@click.argument("files", nargs=-1, required=True, type=options.PATH)
@click.option("--device", required=True, help="The device that it was measured on.")
@click.option("--model", help="The model, where the file does not name it.")
@click.option(
    "-o",
    "--output",
    "out",
    cls=options.Once,
    type=options.PATH,
    help="Add the records to this JSON, too.",
)
@options.as_json
def import_profile(
    files: tuple[Path, ...], device: str, model: str | None, out: Path | None, as_json: bool
) -> int:
    """Import FILES that another tool wrote on a real device.

    Taken are onnxruntime_perf_test's result file, what it prints, its profile (-p), and the JSON
    that Qualcomm AI Hub's client downloads.

    Each becomes a record labelled "measured on that device, imported": it stands beside our
    measurements and is mixed with none, nor with estimates.

    \b
    Examples:
      onnxruntime_perf_test -e cpu -r 100 coarse.onnx coarse.csv
      vampbench import-profile coarse.csv --device "Pixel 9" -o imported.json
    """
    console = Console(as_json=as_json)
    found = importing.import_profile(files, device=device, model=model, output=out)
    rows = [
        (
            each.model,
            each.tool,
            f"{each.median_s * 1e3:.2f} ms",
            _span(each.p10_s, each.p90_s),
            "-" if each.runs is None else str(each.runs),
            "-" if each.peak_rss_bytes is None else megabytes(each.peak_rss_bytes),
            ", ".join(f"{n} {unit}" for unit, n in each.compute_units.items()) or "-",
        )
        for each in found
    ]
    columns = ("model", "by", "median", "p10 to p90", "runs", "peak", "operators on")
    console.table(f"Measured on {device}, imported", columns, rows)
    for each in found:
        for warning in each.warnings:
            console.warn(f"{each.source}: {warning}")
    console.json(versioned(ImportedFile(found), IMPORTED))
    return 0


def _span(low_s: float | None, high_s: float | None) -> str:
    if high_s is None:
        return "-"
    low = "?" if low_s is None else f"{low_s * 1e3:.2f}"
    return f"{low} to {high_s * 1e3:.2f} ms"
