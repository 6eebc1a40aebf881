"""Rows of `onnx_suite.py` counted, and their section of docs/results/reliability.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from bench import ROOT
from bench.reliability.judge import BOUNDS
from bench.reliability.onnx_cases import FORMS, KINDS
from bench.reliability.onnx_suite_case import (
    FAULTS,
    NOT_APPLICABLE,
    OUTCOMES,
    REFUSED,
    RIGHT,
    SOURCE,
    UNRUNNABLE,
    Row,
)
from optimize.variant import versions
from vampnet_models.cache import Json

RESULTS = ROOT / "bench" / "results" / "onnx_suite.json"
DOCS = ROOT / "docs" / "results" / "reliability.md"
_SCHEMA = 1

_TITLE = "## The onnx package's own cases"


def counted(rows: Iterable[Row], key: str, recipes: tuple[str, ...]) -> Json:
    """Counts per recipe and kind, the reasons of what was not converted, and every fault."""
    given = sorted(rows, key=lambda r: (KINDS.index(r.kind), r.case, FORMS.index(r.form), r.recipe))
    sources = [row for row in given if row.recipe == SOURCE]
    made = [row for row in given if row.recipe != SOURCE]
    return {
        "schema": _SCHEMA,
        "code": key,
        "versions": versions(),
        "bounds": BOUNDS,
        "cases": {kind: _cases([r for r in sources if r.kind == kind]) for kind in KINDS},
        "recipes": {
            recipe: _by_kind([row for row in made if row.recipe == recipe]) for recipe in recipes
        },
        "reasons": {
            outcome: _reasons(row for row in made if row.outcome == outcome)
            for outcome in (NOT_APPLICABLE, REFUSED)
        },
        "noisy": _reasons(row for row in made if row.noise),
        "faults": [
            [row.case, row.form, row.recipe, row.outcome, row.detail]
            for row in made
            if row.outcome in FAULTS
        ],
    }


def _cases(sources: list[Row]) -> Json:
    """How many there are by form, how many run, and how many give the published answers."""
    run = [row for row in sources if row.outcome != UNRUNNABLE]
    return {
        form: {
            "published": sum(row.form == form for row in sources),
            "run": sum(row.form == form for row in run),
            "as published": sum(row.form == form and row.outcome == RIGHT for row in run),
        }
        for form in FORMS
    }


def _by_kind(rows: list[Row]) -> Json:
    kinds = {"all": rows, **{kind: [r for r in rows if r.kind == kind] for kind in KINDS}}
    return {kind: _outcomes(some) for kind, some in kinds.items()}


def _outcomes(rows: list[Row]) -> dict[str, int]:
    found = Counter(row.outcome for row in rows)
    return {outcome: found[outcome] for outcome in OUTCOMES}


def _reasons(rows: Iterable[Row]) -> dict[str, int]:
    return dict(Counter(kind_of(row.detail or row.noise) for row in rows).most_common())


def kind_of(reason: str) -> str:
    """A reason without what differs from case to case: the model's name and numbers."""
    return re.sub(r"\d+(\.\d+)?", "N", reason.removeprefix("m.onnx: "))


def section(content: Json) -> str:
    """The table and what it says, as Markdown."""
    found = content["versions"]
    cases = [each for kind in content["cases"].values() for each in kind.values()]
    run, published = (sum(each[word] for each in cases) for word in ("run", "published"))
    head = f"| recipe | {' | '.join(OUTCOMES)} |"
    lines = [
        f"The onnx package ({found['onnx']}) tests backends with cases of its own: single "
        f"operators, and exports. Each is taken as published, and once more with all inputs but "
        f"the first made constants; of {published:,} forms ONNX Runtime {found['onnxruntime']} "
        f"runs {run:,}. Each of those goes through every recipe. *Right*: same interface, and "
        "answers within the recipe's bound, with the runtime's optimization and without "
        f"({', '.join(f'{name} {bound:g}' for name, bound in content['bounds'].items())}; relative "
        "RMS of the worst output; of operators that draw, types and shapes). *Not applicable*: "
        f"nothing in it that the recipe changes{_sizes(content)}. *Refused*: one line that says "
        "why.",
        "",
        head,
        "|---|" + "---:|" * len(OUTCOMES),
    ]
    for recipe, counts in content["recipes"].items():
        lines.append(f"| {recipe} | {' | '.join(_cell(counts, o) for o in OUTCOMES)} |")
    lines += ["", "Reasons of the refusals, numbers taken out:", ""]
    lines += [f"- {n}: {reason}" for reason, n in list(content["reasons"][REFUSED].items())[:12]]
    lines += ["", "`python -m bench.reliability.onnx_suite` makes the table again."]
    return "\n".join(lines) + "\n"


def _sizes(content: Json) -> str:
    if content["every_size"]:
        return " (weights of any size are taken here, which the commands leave where they are tiny)"
    return ", weights of less than 2,048 values among them"


def _cell(counts: Json, outcome: str) -> str:
    return f"{counts['all'][outcome]:,}"


def with_section(text: str, content: Json) -> str:
    """The page with this section in place of the one that it has, or at its end."""
    return put_section(text, _TITLE, section(content))


def put_section(text: str, title: str, body: str) -> str:
    """The page with what stands below a heading replaced, or with both added at its end."""
    made = f"{title}\n\n{body}"
    before, found, after = text.partition(f"{title}\n")
    if not found:
        return f"{text.rstrip()}\n\n{made}"
    _, heading, rest = after.partition("\n## ")
    return f"{before}{made}{heading}{rest}"
