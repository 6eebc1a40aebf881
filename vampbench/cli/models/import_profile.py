"""`vampbench import-profile`: what another tool measured on a real device."""

from __future__ import annotations

import json
from pathlib import Path

import click

from profiles.imported.times import import_profile as read
from vampbench.cli import options
from vampbench.cli.console import Console
from vampnet_models.cache import Json
from vampnet_models.errors import InputError
from vampnet_models.json_text import parse_json
from vampnet_models.onnxfile.artifact import write_text
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
    records = [read(path, device, model).as_json() for path in files]
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
    if out is not None:
        write_text(out, json.dumps({"records": _merged(out, records)}, indent=1) + "\n")
    console.json({"records": records})
    return 0


def _merged(out: Path, records: list[Json]) -> list[Json]:
    """What `out` holds already, without the files that come again. Raises InputError."""
    if not out.is_file():
        return records
    try:
        earlier = parse_json(out.read_text(encoding="utf-8"))["records"]
        new = {record["source_sha256"] for record in records}
        return [r for r in earlier if r["source_sha256"] not in new] + records
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{out}: holds no imported records; choose another output") from None
