"""Write the tables of README and of the pages anew: `python docs/update.py --demo RESULTS_JSON`.

What is quoted of a run is kept in docs/*-results.json and bench/results; parts between markers
are made of those files alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from docs.json_schema import SCHEMAS, schema_text
from docs.kept import DECISION, LATENCY, RECORDS, RUNS, all_kept, trimmed, trimmed_search
from docs.pages import made_pages, parts, with_parts
from vampnet_models.records.files import read_record, write_record
from vampnet_models.records.generic import DECIDED, RESULTS, TUNING
from vampnet_models.records.results import Decided, Results
from vampnet_models.records.tuning import Tuning


def keep(run: str, quoted: dict[str, Any]) -> None:
    """Write what is quoted of a run."""
    text = json.dumps(quoted, indent=1, ensure_ascii=False)
    RECORDS[run].write_text(text + "\n", encoding="utf-8")


def keep_decision(results: Results) -> None:
    """Write what to ship of the reference models, which `bundle` packs where no run is given."""
    cpu = "unknown" if results.host is None else results.host.cpu
    write_record(Decided(results.created or "", cpu, results.decision), DECIDED, DECISION)


def search_at(path: Path) -> dict[str, Any]:
    """What is quoted of the search whose tune.json this is."""
    found, beside = read_record(Tuning, TUNING, path), path.with_name("results.json")
    # A search that met nothing leaves the results of an earlier one.
    return trimmed_search(found, read_record(Results, RESULTS, beside) if found.met else None)


def main() -> None:
    """Keep the figures of the results that are given; write the pages anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    for run in RUNS:
        parser.add_argument(f"--{run}", type=Path, metavar="RESULTS_JSON", dest=run)
    parser.add_argument("--latency", type=Path, metavar="RESULTS_JSON")
    parser.add_argument("--decision", type=Path, metavar="RESULTS_JSON")
    parser.add_argument("--tune", type=Path, metavar="TUNE_JSON", nargs="+")
    chosen = vars(parser.parse_args())
    latency, tuned = chosen.pop("latency"), chosen.pop("tune")
    decided = chosen.pop("decision")
    if decided is not None:
        keep_decision(read_record(Results, RESULTS, decided))
    if tuned:
        keep("tune", {"searches": [search_at(path) for path in tuned]})
    if latency is not None and latency.resolve() != LATENCY:
        LATENCY.write_text(latency.read_text(encoding="utf-8"), encoding="utf-8")
    for run, path in chosen.items():
        if path is not None:
            keep(run, trimmed(read_record(Results, RESULTS, path)))
    for path, (kind, version) in SCHEMAS.items():
        path.write_text(schema_text(kind, version), encoding="utf-8")
    made = parts(all_kept())
    for page in made_pages():
        text = page.read_text(encoding="utf-8")
        page.write_text(with_parts(text, made), encoding="utf-8")


if __name__ == "__main__":
    main()
