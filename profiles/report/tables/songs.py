"""What the decided sets play beside FP32, a row per set."""

from __future__ import annotations

from profiles.report.tables.cells import Cell, absent, measured, words
from profiles.report.tables.table import Row, Table
from profiles.report.views.decided import parts_text, songs_by_targets
from profiles.report.views.units import (
    agreement_range,
    agreement_text,
    signed_range,
    signed_text,
)
from vampnet_models.records.accuracy import Figure
from vampnet_models.records.results import Results
from vampnet_models.records.song import SetSong

_STAGES = ("coarse", "c2f")


def song_table(results: Results) -> Table:
    """Same song, likelihood under FP32 and distance in sound, each with what FP32 itself gives."""
    columns = (
        "Same song",
        *(f"Nats per token, {s}" for s in _STAGES),
        "Sound, MMD\u00b2",
        "In words",
    )
    rows = [
        Row(targets, None, "ok", parts_text(found), _cells(song))
        for targets, found, song in songs_by_targets(results.decision)
    ]
    return Table(columns, tuple(rows))


def _cells(song: SetSong) -> tuple[Cell, ...]:
    nats = (_beside_seeds(song.nats.get(s), song.seed_nats.get(s)) for s in _STAGES)
    sound = _beside_seeds(song.log_mel_mmd, song.seed_log_mel_mmd)
    return (_same(song.same_song), *nats, sound, words(song.told))


def _same(found: Figure | None) -> Cell:
    if found is None or found.value is None or found.low is None or found.high is None:
        return absent()
    ends = agreement_range(found.low, found.high) if found.can_tell else "cannot tell"
    floor = () if found.floor is None else (f"floor {agreement_text(found.floor)}",)
    return measured(found.value, agreement_text, (ends, *floor))


def _beside_seeds(found: Figure | None, seeds: Figure | None) -> Cell:
    if found is None or seeds is None:
        return absent()
    ends = signed_range(found.low, found.high) if found.can_tell else "cannot tell"
    others = f"other seeds {signed_range(seeds.low, seeds.high)}"
    return measured(found.value, signed_text, (ends, others))
