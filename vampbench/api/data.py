"""What models are fed: recordings, or a user's own inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from calibration.audio.clips import AudioSet
from calibration.audio.two_folders import load_audio
from calibration.feeds.chain_inputs import EVALUATION, check_feeds, prepare_inputs, side_feeds
from calibration.feeds.feedset import FeedSet
from vampnet_models.chain.members import with_neighbours
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.scratch import scratch_folder

AnyData = AudioSet | str | Path | None
"""Data as a caller has it: of `split_audio`, a folder of recordings, or an .npz of inputs."""


@dataclass(frozen=True)
class Data:
    """Where feeds come from.

    Attributes:
        audio: recordings, or their folder; None, the default, takes the built-in ones.
        evaluation_audio: a folder whose recordings judge; none by default.
        feeds: an .npz of inputs for a model of no known role; none by default.
    """

    audio: AudioSet | Path | None = None
    evaluation_audio: Path | None = None
    feeds: Path | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that are read."""
        return tuple(p for p in (self.audio, self.evaluation_audio) if isinstance(p, Path))

    def clips(self, reporter: Reporter) -> AudioSet:
        """The recordings, read. Raises InputError where none is usable."""
        if isinstance(self.audio, AudioSet):
            return self.audio
        return load_audio(self.audio, reporter, self.evaluation_audio)


def as_data(given: AnyData | Data) -> Data:
    """The data of a call. Raises InputError where it names nothing that is there."""
    if given is None or isinstance(given, Data):
        found = given or Data()
    elif isinstance(given, AudioSet):
        found = Data(given)
    elif Path(given).suffix == ".npz":
        found = Data(feeds=Path(given))
    else:
        found = Data(Path(given))
    check_feeds(found.feeds)
    return found


def evaluation_feeds(
    artifact: Artifact, fed: Artifact, data: Data, threads: int, reporter: Reporter
) -> FeedSet:
    """What judges a model: feeds that nothing was calibrated on, of the sizes that `fed` takes.

    The models beside `artifact` are the chain that feeds it. Raises InputError as the data does.
    """
    with scratch_folder() as folder:
        beside = with_neighbours(artifact, reporter)
        inputs = prepare_inputs(beside, data.clips(reporter), folder, threads, reporter)
        return side_feeds(fed, inputs, EVALUATION, data.feeds, threads, reporter)
