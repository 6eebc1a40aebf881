"""A row of the terminal's table: what is measured, what cannot tell, and what does not apply."""

from vampbench.cli.ship.summary import columns_of, summary_rows
from vampnet_models.records.accuracy import AccuracyReport, Figure
from vampnet_models.records.results import Model, Results, Variant
from vampnet_models.records.song import SongPrompts


def row_of(accuracy, song_prompts=()):
    variant = Variant("int8-static", "ok", bytes=250, accuracy=accuracy)
    model = Model("coarse", "coarse", source_bytes=1000, variants=(variant,))
    results = Results(models=(model,), song_prompts=song_prompts)
    (row,) = summary_rows(results)
    return dict(zip(columns_of(results), row, strict=True))


def test_sampled_agreement_is_told_by_its_lower_end_or_not_at_all():
    songs = {f"song {i}": 0.99 for i in range(5)}
    figure = Figure(0.995, 0.991, 0.998, n=9000, n_clips=24, per_recording=songs)
    row = row_of(AccuracyReport(token_agreement=0.97, sampled_agreement=figure))
    assert row["agreement"] == "97.00 %" and row["sampled, at least"] == "99.10 %"
    few = Figure(1.0, 1.0, 1.0, n=9000, n_clips=8, per_recording=songs)
    assert row_of(AccuracyReport(sampled_agreement=few))["sampled, at least"] == "cannot tell"
    assert row_of(AccuracyReport(si_sdr_db=30.0))["sampled, at least"] == "-"


def test_the_song_has_a_column_where_it_was_played():
    songs = {f"song {i}": 0.9 for i in range(5)}
    figure = Figure(0.93, 0.91, 0.95, n=9000, n_clips=24, per_recording=songs)
    heard = AccuracyReport(same_song=figure)
    played = (SongPrompts(frames=173, n_prompts=24, n_pieces=24, n_recordings=5),)
    assert row_of(heard, played)["same song, at least"] == "91.00 %"
    assert row_of(AccuracyReport(), played)["same song, at least"] == "-"
    assert "same song, at least" not in row_of(AccuracyReport())
