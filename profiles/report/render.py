"""results.json -> one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

from profiles.full_size import is_whole_vampnet
from profiles.report import audio, cautions
from profiles.report.charts import figures
from profiles.report.charts.figures import Figure
from profiles.report.charts.marks import Mark, marks_for
from profiles.report.charts.operators import operator_chart, operator_marks
from profiles.report.charts.roofline import roofline_chart
from profiles.report.page import render_page
from profiles.report.tables import kernels as table_kernels
from profiles.report.tables import machine, phones
from profiles.report.tables.blocks import block_table
from profiles.report.tables.choices import choice_table
from profiles.report.tables.coverage import coverage_table, outside_lines
from profiles.report.tables.details import detail_table
from profiles.report.tables.evidence import evidence_table, missing_evidence
from profiles.report.tables.runtime import runtime_lines, runtime_table
from profiles.report.tables.songs import song_table
from profiles.report.tables.variants import variant_table
from profiles.report.verdict import verdict_of
from profiles.report.views.choices import choices_of, recipes_of
from profiles.report.views.kernels import timed_kernels
from profiles.report.views.read import load_results
from vampnet_models.onnxfile.artifact import write_text
from vampnet_models.records.results import Model, Results


def write_report(results_path: Path, out: Path) -> str:
    """Read results.json and write the page; sounds are looked for beside results.json.

    Returns the HTML. Raises InputError when the results cannot be read or are of another
    schema, and when `out` cannot be written.
    """
    results = load_results(results_path)
    html = render_report(results, results_path.parent)
    write_text(out, html)
    return html


def render_report(results: Results, folder: Path) -> str:
    """The page for the content of a results.json; `folder` is where its sounds are."""
    marks = marks_for(recipes_of(results))
    choices = choices_of(results)
    return render_page(
        "report.html.jinja",
        run=results,
        marks=[marks[name] for name in recipes_of(results)],
        verdict=verdict_of(results),
        vampnet=is_whole_vampnet(results),
        shown=_shown(results),
        choice_table=choice_table(results, choices, marks),
        song_table=song_table(results),
        models=[_model_view(model, marks) for model in results.models],
        sounds=[audio.load_sound(sound, folder) for sound in results.audio],
        runtime=runtime_table(results, marks),
        runtime_lines=runtime_lines(results),
        packaging=phones.packaging_table(results, marks),
        devices=phones.device_table(results, marks),
        device_sources=phones.device_sources(results, marks),
        refusals=phones.refusals(results),
        evidence=evidence_table(folder),
        missing_evidence=missing_evidence(folder),
        host=machine.host_rows(results),
        coverage=machine.coverage(results),
        profile_details=machine.profile_details(results),
        cautions=cautions.cautions_of(results),
        left_in_float=cautions.left_in_float(results),
        audio_rows=machine.audio_rows(results.audio_set),
    )


def _shown(results: Results) -> dict[str, bool]:
    """What the page has to explain: tokens, beats and sound, where a model is judged by them."""
    models = results.models
    judged = [v.judged for m in models if not m.is_beats for v in m.variants]
    return {
        "tokens": any(each.token_agreement is not None for each in judged),
        "sampled": any(each.sampled_agreement is not None for each in judged),
        "song": bool(results.song_prompts),
        "cost": any(each.cost is not None for each in judged),
        "beats": any(m.is_beats for m in models),
        "sound": any(each.si_sdr_db is not None for each in judged),
    }


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
        "coverage": coverage_table(model),
        "outside": outside_lines(model),
        "tradeoffs": figures.tradeoffs(model, marks),
        "undrawn": figures.undrawn(model),
        "agreements": figures.agreements(model, marks),
        "latencies": (latency,) if latency is not None else (),
        "precisions": list(precisions.values()),
        "sensitivities": figures.sensitivities(model, precisions),
        "blocks": block_table(model, precisions),
        "kernels": _kernels_view(model, marks),
    }


def _kernels_view(model: Model, marks: dict[str, Mark]) -> dict[str, object] | None:
    """Operators and roofline of a model; None where they were not measured."""
    found = timed_kernels(model)
    if not found:
        return None
    operators = operator_marks(found)
    stacks = operator_chart(found, operators, name=f"{model.name}: time per operator")
    roofs = roofline_chart(found, marks, name=f"{model.name}: roofline")
    return {
        "legend": list(operators.values()),
        "stacks": (Figure("Where the time goes", stacks),),
        "roofs": (Figure("Under this machine's roof", roofs),),
        "peaks": table_kernels.peaks_sentence(next(iter(found.values())).peaks),
        "tables": (
            ("Distance to the bound", table_kernels.roof_table(found, marks), "Recipe"),
            (
                "Time per operator",
                table_kernels.operator_table(found, marks),
                "Recipe and operator",
            ),
            ("Time per block", table_kernels.block_table(found), "Block"),
            ("The longest nodes", table_kernels.node_table(found, marks), "Recipe and node"),
        ),
    }
