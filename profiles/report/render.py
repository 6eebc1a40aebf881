"""results.json -> one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from profiles.report import audio, cautions, figures, machine, phones
from profiles.report.choices import choices_of, recipes_of
from profiles.report.marks import Mark, marks_for
from profiles.report.read import read_run
from profiles.report.run import Model
from profiles.report.table_choices import choice_table
from profiles.report.table_details import detail_table
from profiles.report.table_evidence import evidence_table, missing_evidence
from profiles.report.table_runtime import runtime_table
from profiles.report.table_variants import variant_table
from profiles.report.verdict import verdict_of
from vampnet_models.artifact import write_text
from vampnet_models.errors import InputError

_HERE = Path(__file__).parent


def write_report(results_path: Path, out: Path) -> str:
    """Read results.json and write the page; sounds are looked for beside results.json.

    Returns the HTML. Raises InputError when the results cannot be read or are of another
    schema, and when `out` cannot be written.
    """
    try:
        text = results_path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{results_path}: no such file; give the results.json of a run") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{results_path}: cannot read it: {error}; give a results.json") from error
    try:
        results = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{results_path}: not JSON (line {error.lineno}: {error.msg}); run again, "
            "or give the results.json of a run"
        ) from error
    if not isinstance(results, dict):
        raise InputError(f"{results_path}: holds no results; give the results.json of a run")
    html = render_report(results, results_path.parent)
    write_text(out, html)
    return html


def render_report(results: Mapping[str, object], folder: Path) -> str:
    """The page for the content of a results.json; `folder` is where its sounds are.

    Raises InputError when the schema is another one or a field has the wrong type.
    """
    run = read_run(results)
    marks = marks_for(recipes_of(run))
    choices = choices_of(run)
    style, script = _asset("report.css"), _asset("report.js")
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja").render(
        run=run,
        style=Markup(style),
        script=Markup(script),
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        marks=[marks[name] for name in recipes_of(run)],
        verdict=verdict_of(run, choices),
        choice_table=choice_table(run, choices, marks),
        models=[_model_view(model, marks) for model in run.models],
        sounds=[audio.load_sound(file, folder) for file in run.audio],
        runtime=runtime_table(run, marks),
        packaging=phones.packaging_table(run, marks),
        devices=phones.device_table(run, marks),
        device_sources=phones.device_sources(run, marks),
        refusals=phones.refusals(run),
        evidence=evidence_table(folder),
        missing_evidence=missing_evidence(folder),
        host=machine.host_rows(run),
        coverage=machine.coverage(run),
        profile_details=machine.profile_details(run),
        cautions=cautions.cautions_of(run),
        left_in_float=cautions.left_in_float(run),
        audio_rows=machine.audio_rows(run.audio_set),
    )


def _model_view(model: Model, marks: dict[str, Mark]) -> dict[str, object]:
    latency = figures.latencies(model, marks)
    named = dict.fromkeys(o.precision for block in model.blocks for o in block.options)
    found = marks_for(named)
    precisions = {name: found[name] for name in named}
    return {
        "model": model,
        "marks": [marks[v.recipe] for v in model.variants],
        "table": variant_table(model, marks),
        "details": detail_table(model, marks),
        "tradeoffs": figures.tradeoffs(model, marks),
        "undrawn": figures.undrawn(model),
        "agreements": figures.agreements(model, marks),
        "latencies": (latency,) if latency is not None else (),
        "precisions": list(precisions.values()),
        "sensitivities": figures.sensitivities(model, precisions),
    }


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """The source expression that lets a browser run this text and nothing else (CSP level 3)."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
