"""Parts of README and the pages, between `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.accuracy.standing import standing
from bench.accuracy.table import full_size_tools, small_tools
from bench.latency.results import rivals
from bench.latency.results import table as latency_table
from bench.music.results import table as music_table
from docs import notes, sentences
from docs.cells import Json
from docs.kept import CARD, DOCS
from docs.tables import decided
from docs.tables.choice import precisions, uses
from docs.tables.heard import recordings
from docs.tables.kinds import by_kind
from docs.tables.runs import codebooks, demo, full_size, full_size_cost, full_size_files
from docs.tables.tuned import searches, whole_search
from training.figures.card import card_parts

README = DOCS.parent / "README.md"
_PART = re.compile(r"<!-- ([a-z0-9-]+): begin -->\n(.*?)<!-- \1: end -->", re.DOTALL)
_OPENED = re.compile(r"<!-- ([a-z0-9-]+): begin -->")


def pages() -> list[Path]:
    """README and every page of the site."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def made_pages() -> list[Path]:
    """All that hold parts which are made of kept results: the pages, and the model card."""
    return [*pages(), CARD]


def parts(runs: dict[str, Json]) -> dict[str, str]:
    """What stands between the markers, by their names, made of the kept records."""
    full, real = runs["full-size"], runs["recordings"]
    return {
        "precisions": precisions(full, real),
        "uses": uses(full, real),
        "full-size-cost": full_size_cost(full),
        "decision": decided.sentence(runs["decision"]),
        "decided": decided.table(runs["decision"]),
        "demo": demo(runs["demo"]),
        "recordings": recordings(real),
        "loss-kinds": by_kind(runs["demo"]),
        "codebooks": codebooks(real),
        "full-size": full_size(full),
        "full-size-files": full_size_files(runs["full-size-files"]),
        "tune": searches(runs["tune"]["searches"]),
        "tune-full": whole_search(runs["tune-full"]),
        "tools": small_tools(runs["accuracy"]),
        "tools-standing": standing(runs["accuracy"]),
        "tools-full": full_size_tools(runs["accuracy-full"]),
        "latency": latency_table(runs["latency"]),
        "latency-zen4": latency_table(runs["latency-zen4"]),
        "latency-emerald": latency_table(runs["latency-emerald"]),
        "latency-zen3": latency_table(runs["latency-zen3"]),
        "latency-rivals": rivals(runs["latency-zen4"]),
        "music": music_table(runs["music"]),
        **card_parts(runs["reference"]),
        **dict(notes.made(runs)),
        **dict(sentences.made(runs)),
    }


def named(text: str) -> list[str]:
    """The names of the parts that a page has."""
    return _OPENED.findall(text)


def with_parts(text: str, made: Mapping[str, str]) -> str:
    """A page with its parts anew. Raises ValueError on an unknown name and on an unclosed part."""
    unknown = sorted(set(named(text)) - set(made))
    if unknown:
        raise ValueError(f"no such part: {', '.join(unknown)}; there are {', '.join(made)}")
    if len(_PART.findall(text)) != len(named(text)):
        raise ValueError("a part is begun that does not end")
    return _PART.sub(lambda m: f"<!-- {m[1]}: begin -->\n{made[m[1]]}\n<!-- {m[1]}: end -->", text)


def without_parts(text: str) -> str:
    """A page's own words: without made parts and without code."""
    text = re.sub(r"^```.*?^```", "", _PART.sub("", text), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", text)


def figures_of(text: str, units: Iterable[str]) -> list[str]:
    """Numbers with a unit in a page's own words."""
    unit = "|".join(map(re.escape, units))
    return re.findall(rf"\d[\d.,]*\s?(?:{unit})(?![\w/])", without_parts(text))
