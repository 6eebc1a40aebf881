"""The tables of the model card, as Markdown, from the evaluation's figures."""

from __future__ import annotations

from collections.abc import Sequence

from training.figures.aims import aims
from training.figures.records import Figures

# A curve in a cell: more points than this hide its shape.
_POINTS = 6
_UNITS = {"si_sdr_db": "SI-SDR dB", "log_mel_db": "log-mel dB", "nats": "nats"}


def card_parts(result: Figures) -> dict[str, str]:
    """The parts between the markers of `MODEL_CARD.md`, by name."""
    return {
        "card-stages": _stages(result),
        "card-codec": _codec(result),
        "card-usage": _usage(result),
        "card-tokens": _tokens(result),
        "card-aims": "\n".join(f"- {line}" for line in aims(result)),
    }


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _stages(result: Figures) -> str:
    rows = [
        [
            name,
            f"{stage['steps']:,}",
            f"{stage['wall_s'] / 60.0:.0f}",
            ", ".join(f"{loss:.2f}" for loss in stage["losses"]),
            _curve(stage["scores"]),
        ]
        for name, stage in result["stages"].items()
    ]
    return _table(("stage", "steps", "minutes", "loss", "validation, in time"), rows)


def _curve(scores: list[dict[str, float]]) -> str:
    """Every judged figure as a few values in time, the first and the last among them."""
    count = min(_POINTS, len(scores))
    places = [round(i * (len(scores) - 1) / max(1, count - 1)) for i in range(count)]
    texts = []
    for name in (key for key in scores[-1] if key in _UNITS):
        values = ", ".join(f"{scores[place][name]:.2f}" for place in places)
        texts.append(f"{_UNITS[name]} {values}")
    return "; ".join(texts)


def _codec(result: Figures) -> str:
    titles = ("held-out recording", "SI-SDR dB", "log-mel dB", "level slope", "frame buzz dB (own)")
    rows = [
        [
            f"{name}, {n} codebooks",
            f"{heard['si_sdr_db'][n]:.2f}",
            f"{heard['log_mel_db'][n]:.2f}",
            f"{heard['level_slope'][n]:.2f}",
            f"{heard['frame_buzz_db'][n]:.1f} ({heard['own_frame_buzz_db']:.1f})",
            f"{heard['untrained_si_sdr_db']:.1f} / {heard['untrained_log_mel_db']:.1f}",
            f"{heard['silence_log_mel_db']:.1f}",
        ]
        for name, heard in result["codec"].items()
        for n in ("14", "4")
    ]
    return _table((*titles, "untrained", "silence"), rows)


def _usage(result: Figures) -> str:
    rows = []
    for used, title in ((result["usage"], "training"), (result["usage_held_out"], "held out")):
        rows.append([f"{title}: perplexity", *(f"{value:.0f}" for value in used["perplexity"])])
        rows.append([f"{title}: share used", *(f"{value:.2f}" for value in used["share"])])
    return _table(("codebook", *map(str, range(len(rows[0]) - 1))), rows)


def _tokens(result: Figures) -> str:
    titles = ("model and side", "cross-entropy", "own entropy", "unigram", "gain over own entropy")
    rows = [
        [
            name,
            f"{row['cross_entropy_nats']:.2f}",
            f"{row['own_entropy_nats']:.2f}",
            f"{row['unigram_nats']:.2f}",
            f"{row['own_gain_nats']:.2f}",
            f"{row['accuracy']:.1%}",
            f"{row['near_ties']:.0%}",
        ]
        for name, row in result["tokens"].items()
    ]
    return _table((*titles, "hits", "near-ties"), rows)
