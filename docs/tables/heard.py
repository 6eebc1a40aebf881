"""The tables of what recipes cost on real recordings, and of what they play, as Markdown."""

from __future__ import annotations

from docs.cells import Json, cost, floor, same, share, worst
from docs.tables.decided import parts_of
from vampnet_models.text import percent


def recordings(quoted: Json) -> str:
    """What every recipe costs on real recordings, and how it plays: models, then decided sets."""
    parts = (
        [_judged_on(quoted)],
        _transformers(quoted),
        _codec(quoted),
        _songs(quoted["decision"]),
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def _judged_on(quoted: Json) -> str:
    audio, songs = quoted["audio_set"], quoted["song_prompts"]
    (coarse,) = _of(quoted, ("coarse",))
    heard = coarse["variants"][0]["accuracy"]["cost_nats"]["per_recording"]
    played = " and ".join(
        f"{each['n_prompts']} prompts of {each['frames']} frames ({each['n_pieces']} pieces of "
        f"{each['n_recordings']} recordings)"
        for each in songs
    )
    return (
        f"Judged on {audio['evaluation_s']:.0f} s of {len(heard)} recordings; songs "
        f"were played from {played}. In brackets: 95 % intervals."
    )


def _transformers(quoted: Json) -> list[str]:
    lengths = [each["frames"] for each in quoted["song_prompts"]]
    songs = ("same_song", "same_song_long")[: len(lengths)]
    columns = [
        "token agreement",
        "sampled agreement",
        "cost, nats per token",
        *(f"same song, {frames} frames" for frames in lengths),
        "shown to be",
    ]
    lines = [f"| model | recipe | {' | '.join(columns)} |", f"|---|---|{'---:|' * len(columns)}"]
    for model in _of(quoted, ("coarse", "c2f")):
        for variant in model["variants"]:
            found = variant["accuracy"]
            cells = [same(found), share(found["sampled_agreement"]), cost(found["cost_nats"], 4)]
            cells += [share(found[song]) for song in songs]
            cells.append(_grade(variant))
            lines.append(f"| {model['name']} | {variant['recipe']} | {' | '.join(cells)} |")
        floors = [f"{percent(found['floor'])}", floor(found["sampled_agreement"]), "-"]
        floors += [floor(found[song]) for song in songs]
        lines.append(f"| {model['name']} | *FP32 itself* | {' | '.join(floors)} | |")
    return lines


def _codec(quoted: Json) -> list[str]:
    lines = [
        "| model | recipe | token agreement, or sound | cost, dB log-mel | the worst recording's | "
        "cost, dB SI-SDR | shown to be |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for model in _of(quoted, ("codec-encoder", "codec-decoder")):
        for variant in model["variants"]:
            found = variant["accuracy"]
            cells = [same(found), cost(found["cost_log_mel_db"], 3)]
            cells += [worst(found["cost_log_mel_db"], 3), cost(found["cost_si_sdr_db"], 2)]
            cells.append(_grade(variant))
            lines.append(f"| {model['name']} | {variant['recipe']} | {' | '.join(cells)} |")
    return lines


def _of(quoted: Json, roles: tuple[str, ...]) -> list[Json]:
    return [model for role in roles for model in quoted["models"] if model["role"] == role]


def _grade(variant: Json) -> str:
    """The strictest grade that it is shown to hold."""
    return str(variant["grades"][0]) if variant["grades"] else "-"


def _songs(decision: Json) -> list[str]:
    """What the decided sets play beside FP32, a row for each set."""
    found: dict[str, tuple[list[str], Json]] = {}
    for target, each in decision.items():
        for decided in (each["smallest"], each["fastest"]):
            if decided is not None and decided["song"] is not None:
                targets = found.setdefault(parts_of(decided["parts"]), ([], decided["song"]))[0]
                targets += [f"`{target}`"] * (f"`{target}`" not in targets)
    lines = [
        "| target | the set | same song | FP32 itself | nats per token: coarse, c2f | "
        "other seeds: coarse, c2f | sound, MMD\u00b2 | other seeds |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for parts, (targets, song) in found.items():
        cells = [share(song["same_song"]), floor(song["same_song"])]
        for nats in (song["nats"], song["seed_nats"]):
            cells.append(", ".join(cost(nats.get(stage), 3) for stage in ("coarse", "c2f")))
        cells += [cost(song[key], 4) for key in ("log_mel_mmd", "seed_log_mel_mmd")]
        lines.append(f"| {', '.join(targets)} | {parts} | {' | '.join(cells)} |")
    return lines
