"""A row per decided set that was played: same song, likelihood, sound, and what that says."""

from profiles.report.tables.songs import song_table
from vampnet_models.records.accuracy import Figure
from vampnet_models.records.results import DecidedSet, Decision, Results
from vampnet_models.records.song import SetSong

MANY = {f"song {i}": 0.0 for i in range(5)}


def figure(value, floor=None, recordings=MANY):
    return Figure(
        value,
        value - 0.01,
        value + 0.01,
        floor,
        n=900,
        n_clips=24,
        per_recording=dict(recordings),
    )


def song(recordings=MANY):
    return SetSong(
        n_pieces=24,
        frames=173,
        same_song=figure(0.93, 0.998, recordings),
        nats={"coarse": figure(0.002, 0.01, recordings), "c2f": figure(-0.001, 0.02, recordings)},
        seed_nats={"coarse": figure(0.01), "c2f": figure(0.02)},
        log_mel_mmd=figure(0.003, 0.001, recordings),
        seed_log_mel_mmd=figure(0.001),
    )


def results(found):
    decided = DecidedSet({"coarse": "int8-static", "c2f": "fp16"}, 100, song=found)
    other = DecidedSet({"coarse": "fp16", "c2f": "fp16"}, 200)
    return Results(
        decision={
            "cpu": Decision("harmless", decided, other),
            "android": Decision("harmless", decided),
        }
    )


def test_a_set_has_one_row_with_what_fp32_itself_gives():
    table = song_table(results(song()))
    (row,) = table.rows
    assert row.name == "cpu, android" and row.reason == "coarse int8-static, c2f fp16"
    cells = dict(zip(table.columns, row.cells, strict=True))
    same = cells["Same song"]
    assert same.text == "93.00\u00a0%"
    assert same.lines == ("92.00–94.00\u00a0%", "floor 99.80\u00a0%")
    coarse = cells["Nats per token, coarse"]
    assert coarse.text == "+0.0020"
    assert coarse.lines[1] == "other seeds 0\u00a0to\u00a0+0.0200"
    assert cells["Nats per token, c2f"].text == "\u22120.0010"
    assert cells["Sound, MMD²"].text == "+0.0030"
    assert cells["In words"].text.startswith("pieces of this set are as likely under FP32")


def test_few_recordings_cannot_tell_and_a_note_is_said():
    (row,) = song_table(results(song({"one": 0.9}))).rows
    assert row.cells[0].lines[0] == row.cells[1].lines[0] == "cannot tell"
    assert "cannot tell: 1 recording" in row.cells[-1].text
    (row,) = song_table(results(SetSong(note="no song of the set: why"))).rows
    assert {cell.kind for cell in row.cells[:-1]} == {"absent"}
    assert row.cells[-1].text == "no song of the set: why"


def test_a_run_without_songs_has_no_rows():
    assert song_table(results(None)).rows == ()
