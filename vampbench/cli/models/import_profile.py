"""`vampbench import-profile`: what another tool measured on a real device."""

from __future__ import annotations

from pathlib import Path

import click

from vampbench.api.devices import imported as importing
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.text import megabytes


@click.command("import-profile")
@click.argument("files", nargs=-1, required=True, type=options.PATH)
@click.option("--device", required=True, help="The device that it was measured on.")
@click.option("--model", help="The model, where the file does not name it.")
@click.option("-o", "--output", "out", type=options.PATH, help="Add the records to this JSON, too.")
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
    records = [record.as_json() for record in found]
    rows = []
    for record in records:
        low, high = (
            "?" if record[name] is None else f"{record[name] * 1e3:.2f}"
            for name in ("p10_s", "p90_s")
        )
        units = ", ".join(f"{n} {unit}" for unit, n in record["compute_units"].items())
        peak = record["peak_rss_bytes"]
        rows.append(
            (
                record["model"],
                record["tool"],
                f"{record['median_s'] * 1e3:.2f} ms",
                "-" if high == "?" else f"{low} to {high} ms",
                "-" if record["runs"] is None else str(record["runs"]),
                "-" if peak is None else megabytes(peak),
                units or "-",
            )
        )
    columns = ("model", "by", "median", "p10 to p90", "runs", "peak", "operators on")
    console.table(f"Measured on {device}, imported", columns, rows)
    for record in records:
        for warning in record["warnings"]:
            console.warn(f"{record['source']}: {warning}")
    console.json({"records": records})
    return 0
