"""`make results`: every committed table that depends on the models, made again.

    python -m bench.everything [--list] [--code] [--only NAME ...]

What is stale is told first, with the expected hours; then its steps run one after another. A
finished step is recorded in bench/results/made.json with hashes of all that it was made of: the
same command goes on where it stopped. A step that fails is named and those that need it are left;
the rest goes on, and the exit code is 1. Stale is what was made of other models, sounds or results;
what earlier code made is told, and made again with `--code`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import ROOT
from bench.everything.record import read_record
from bench.everything.steps import STEPS
from bench.everything.work import listed, make
from vampnet_models.errors import InputError

KEPT = ROOT / "bench" / "results" / "made.json"


def _main() -> int:
    """List, or make what is stale. Exit code 1 where a step failed, 130 where it was stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="what is stale, and the hours")
    parser.add_argument("--code", action="store_true", help="also what other code made")
    names = [step.name for step in STEPS]
    parser.add_argument("--only", nargs="+", choices=names, help="these, stale or not")
    parser.add_argument("--record", type=Path, default=KEPT, help="where finished steps are kept")
    options = parser.parse_args()
    try:
        print(listed(STEPS, read_record(options.record), ROOT, code=options.code), flush=True)
        if options.list:
            return 0
        failed = make(STEPS, options.only, ROOT, options.record, code=options.code)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(_main())
