"""Where a model's feeds come from: recordings, or a user's own feeds, for each side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.audio.clips import BOTH_SIDES, AudioSet, Side
from calibration.audio.two_folders import load_audio
from calibration.feeds.feedset import FeedSet
from calibration.feeds.given import Given, given_at
from vampnet_models.cache import key_of
from vampnet_models.errors import InputError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.progress import Reporter
from vampnet_models.spec import Role

NO_AUDIO = AudioSet("none", (), ())
"""Where no model is fed with recordings."""


@dataclass(frozen=True)
class Source:
    """Where the models of a job get their feeds. A model's own feeds come before any recording.

    Attributes:
        audio: a folder of recordings, clips that are split already, or None, the default: the
            built-in sample pack. Read where a model takes audio and is given no feeds.
        evaluation_audio: a folder for judging alone; none by default.
        feeds: a user's own feeds; none by default. Halved where they calibrate and judge.
        evaluation_feeds: a user's own feeds for judging alone; none by default.
        sample_rate_hz: of a codec of which nothing tells it; None by default.
        clip_s: the most seconds of a clip; None, the default, for those of `load_audio`.
    """

    audio: Path | AudioSet | None = None
    evaluation_audio: Path | None = None
    feeds: Given | None = None
    evaluation_feeds: Given | None = None
    sample_rate_hz: int | None = None
    clip_s: float | None = None

    def of(self, models: Sequence[Artifact], reporter: Reporter) -> Source:
        """The same for these models; what nothing is made of is told.

        Raises InputError when feeds fit none of them, or none of them hears recordings that are
        all that was given.
        """
        names = {a.name for a in models}
        for given in (self.feeds, self.evaluation_feeds):
            # A single model picks its own out of feeds for many.
            if given is not None and len(names) > 1 and given.by_model.keys() & names:
                for name in sorted(given.by_model.keys() - names):
                    reporter.warn(f"{given.name}: {name} is not used: no model here is called so")
        own, judging = (
            None if given is None else given.of(models)
            for given in (self.feeds, self.evaluation_feeds)
        )
        found = replace(self, feeds=own, evaluation_feeds=judging)
        if not found.wants_audio(models):
            for name in self._recordings:
                if own is None and judging is None:
                    raise InputError(
                        f"{name}: no model here is fed with recordings; give inputs of its own: "
                        "--feeds FILE.npz, or a folder of such files"
                    )
                reporter.warn(f"{name}: not read: no model here is fed with recordings")
        return found

    @property
    def folders(self) -> tuple[Path | None, ...]:
        """The folders of recordings, in which nothing may be written."""
        return (self.audio if isinstance(self.audio, Path) else None, self.evaluation_audio)

    @property
    def names(self) -> tuple[str, ...]:
        """What was given, recordings before feeds, by name."""
        feeds = (self.feeds, self.evaluation_feeds)
        return (*self._recordings, *(each.name for each in feeds if each is not None))

    @property
    def _recordings(self) -> tuple[str, ...]:
        audio = self.audio.name if isinstance(self.audio, AudioSet) else self.audio
        return tuple(str(each) for each in (audio, self.evaluation_audio) if each is not None)

    def wants_audio(self, models: Sequence[Artifact]) -> bool:
        """Whether one of the models takes recordings, and is given nothing else."""
        return any(self.is_heard_by(artifact) for artifact in models)

    def is_heard_by(self, artifact: Artifact) -> bool:
        """Whether this model takes recordings, and is given nothing to calibrate on."""
        takes = artifact.role is not Role.GENERIC or artifact.spec.part is not None
        return takes and (self.feeds is None or not self.feeds.feeds(artifact))

    def judges_apart(self, artifact: Artifact) -> bool:
        """Whether what judges this model was given by itself."""
        own = self.evaluation_feeds is not None and self.evaluation_feeds.feeds(artifact)
        return own or (self.evaluation_audio is not None and self.is_heard_by(artifact))

    def opened(self, models: Sequence[Artifact], reporter: Reporter) -> Source:
        """The same with the recordings read, for several models, if one of these is fed with any.

        Raises InputError when nothing is usable.
        """
        if not self.wants_audio(models):
            return self
        return replace(self, audio=self.load_audio(reporter))

    def load_audio(self, reporter: Reporter, sides: Sequence[Side] = BOTH_SIDES) -> AudioSet:
        """The recordings of both sides; `reporter` hears of these alone.

        Raises InputError when nothing is usable.
        """
        if isinstance(self.audio, AudioSet):
            return self.audio
        return load_audio(self.audio, reporter, self.evaluation_audio, self.clip_s, sides)

    def calibrating(self, artifact: Artifact) -> FeedSet | None:
        """All that a user gives for this model to calibrate on, for what judges nothing.

        Without what stands in `evaluation_feeds`. Raises InputError as `Given.read` does.
        """
        own, judging = self._read(artifact)
        return self._besides(artifact, own, judging)

    def judging(self, artifact: Artifact) -> FeedSet | None:
        """What a user gives for this model to judge on: the second half, where that is not apart.

        Raises InputError as `Given.read` does.
        """
        judging = None if self.evaluation_feeds is None else self.evaluation_feeds.read(artifact)
        own = None if self.feeds is None or judging is not None else self.feeds.read(artifact)
        if own is None:
            return judging
        return _some(own, range(_middle(own) if len(own.feeds) > 1 else 0, len(own.feeds)))

    def both(self, artifact: Artifact) -> tuple[FeedSet | None, FeedSet | None]:
        """A user's feeds for calibration and for evaluation. Raises InputError as `Given.read`."""
        own, judging = self._read(artifact)
        if own is not None and judging is None:
            return halves(own)
        return self._besides(artifact, own, judging), judging

    def key(self, artifact: Artifact) -> str:
        """A hash of a user's own feeds for this model; empty without any."""
        own, judging = (
            "" if given is None else given.sha256(artifact)
            for given in (self.feeds, self.evaluation_feeds)
        )
        return key_of(own, judging) if judging else own

    def _besides(
        self, artifact: Artifact, own: FeedSet | None, judging: FeedSet | None
    ) -> FeedSet | None:
        """What calibrates beside feeds that only judge; None where that is heard."""
        if own is not None and judging is not None:
            return _apart(own, judging)
        if judging is not None and not self.is_heard_by(artifact):
            raise InputError(
                f"{judging.audio}: judges {artifact.name} alone; give feeds to calibrate on, too"
            )
        return own

    def _read(self, artifact: Artifact) -> tuple[FeedSet | None, FeedSet | None]:
        own, judging = (
            None if given is None else given.read(artifact)
            for given in (self.feeds, self.evaluation_feeds)
        )
        return own, judging


def source_at(
    audio: Path | None = None,
    evaluation_audio: Path | None = None,
    feeds: Path | None = None,
    evaluation_feeds: Path | None = None,
    sample_rate_hz: int | None = None,
    clip_s: float | None = None,
) -> Source:
    """A source of what lies at these paths. Raises InputError where feeds do not."""
    own, judging = (None if path is None else given_at(path) for path in (feeds, evaluation_feeds))
    return Source(audio, evaluation_audio, own, judging, sample_rate_hz, clip_s)


def halves(feed_set: FeedSet) -> tuple[FeedSet, FeedSet]:
    """Split given feeds into calibration (the first half) and evaluation (the second).

    What stands in both halves only evaluates. Feeds that are all the same serve for both, with a
    warning on each.
    """
    n, middle = len(feed_set.feeds), _middle(feed_set)
    second = _some(feed_set, range(middle, n))
    first = _without(_some(feed_set, range(middle)), second)
    if first.feeds and second.feeds:
        return first, second
    what = "one sample" if n == 1 else f"{n} equal samples"
    verb = "calibrates and evaluates" if n == 1 else "calibrate and evaluate"
    line = (
        f"{feed_set.audio}: {what} both {verb}; give two or more, as "
        "NAME/0, NAME/1, ..., or others to judge on"
    )
    both = replace(feed_set, warnings=(*feed_set.warnings, line))
    return both, both


def _apart(calibration: FeedSet, evaluation: FeedSet) -> FeedSet:
    """The feeds that calibrate, without those that judge too, and a warning of such.

    Raises InputError where nothing remains.
    """
    left = _without(calibration, evaluation)
    if not left.feeds:
        raise InputError(
            f"{calibration.audio}: all its samples stand in {evaluation.audio} too; give other "
            "ones to calibrate on or to judge on"
        )
    return left


def _without(feed_set: FeedSet, others: FeedSet) -> FeedSet:
    known = set(others.samples_sha256)
    fresh = [i for i, sha256 in enumerate(feed_set.samples_sha256) if sha256 not in known]
    left = _some(feed_set, fresh)
    twice = len(feed_set.feeds) - len(fresh)
    if twice:
        which = "1 sample judges" if twice == 1 else f"{twice} samples judge"
        line = f"{feed_set.audio}: {which} too, and calibrated nothing"
        left = replace(left, warnings=(*left.warnings, line))
    return left


def _some(feed_set: FeedSet, numbers: Iterable[int]) -> FeedSet:
    chosen = tuple(numbers)
    return replace(
        feed_set,
        feeds=tuple(feed_set.feeds[i] for i in chosen),
        labels=tuple(feed_set.labels[i] for i in chosen),
    )


def _middle(feed_set: FeedSet) -> int:
    """How many feeds the first half has."""
    return (len(feed_set.feeds) + 1) // 2
