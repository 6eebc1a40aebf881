"""What recipes cost by kind of sound, as Markdown: names in the built-in pack tell the kind."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

from docs.cells import Json, signed

KINDS = {
    "speech": "speech-like",
    "drums": "percussive",
    "noise": "wide-band",
    "near-silence": "near-silent",
    "loops": "loops",
}
"""By how a name begins; all others are music that is played from scores."""

MUSIC = "music"
RECIPES = ("int8-static", "int8-dynamic", "int8-weights", "int4-weights")
MODELS = {
    "codec-encoder": ("cost_log_mel_db", "encoder, dB", 3),
    "codec-decoder": ("cost_log_mel_db", "decoder, dB", 3),
    "coarse": ("cost_nats", "coarse, nats", 4),
    "c2f": ("cost_nats", "c2f, nats", 4),
}


def by_kind(demo: Json) -> str:
    """Mean cost of a kind's recordings, and of music the dearest piece's too."""
    names = (MUSIC, *KINDS.values())
    lines = [
        f"| model | recipe | {' | '.join(names)} | the dearest piece of music |",
        "|---|---|" + "---:|" * (len(names) + 1),
    ]
    for role, (measure, title, digits) in MODELS.items():
        (model,) = (each for each in demo["models"] if each["role"] == role)
        for variant in model["variants"]:
            if variant["recipe"] in RECIPES:
                found = _grouped(variant["accuracy"][measure]["per_recording"])
                cells = [signed(mean(found[name]), digits) for name in names]
                cells.append(signed(max(found[MUSIC]), digits))
                lines.append(f"| {title} | {variant['recipe']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _grouped(per_recording: Mapping[str, float]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, value in per_recording.items():
        kind = next((told for begin, told in KINDS.items() if name.startswith(begin)), MUSIC)
        found.setdefault(kind, []).append(value)
    return found
