"""Runs side by side: the same answers in the same order, and one at a time where that is wiser."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from vampnet_models.chain import side_by_side
from vampnet_models.chain.side_by_side import each_of, open_as_floor, open_side_by_side
from vampnet_models.onnxfile.artifact import open_artifact
from vampnet_models.onnxfile.session import open_session
from vampnet_models.spec import Role


@pytest.fixture
def encoder(small_models, monkeypatch):
    monkeypatch.setattr(side_by_side, "_cores", lambda: 3)
    return open_artifact(small_models / "codec_encoder.onnx")


def threads_of(session):
    return session.raw.get_session_options().intra_op_num_threads


def test_answers_are_those_of_single_runs_in_their_order(encoder):
    session = open_side_by_side(encoder.path, encoder)
    assert (session.at_a_time, threads_of(session)) == (3, 1)
    rng = np.random.default_rng(0)
    feeds = [{"audio": rng.standard_normal((1, 1, 768 * n), np.float32)} for n in (9, 1, 5, 2, 7)]
    found = list(each_of(session, session.run, feeds))
    alone = open_session(encoder.path, threads=1)
    for theirs, feed in zip(found, feeds, strict=True):
        assert {name: values.shape for name, values in theirs.items()}
        for name, values in alone.run(feed).items():
            np.testing.assert_array_equal(theirs[name], values)


def test_the_floor_has_other_threads_and_runs_alone(encoder):
    floor = open_as_floor(encoder.path, encoder)
    assert (floor.at_a_time, threads_of(floor)) == (1, 2)


@pytest.mark.parametrize("large", [True, False])
def test_large_models_and_those_outside_the_chain_run_alone(encoder, large):
    like = replace(encoder, bytes=1 << 30) if large else None
    like = like or replace(encoder, spec=replace(encoder.spec, role=Role.GENERIC))
    session = open_side_by_side(encoder.path, like)
    assert (session.at_a_time, threads_of(session)) == (1, 0)
    assert threads_of(open_as_floor(encoder.path, like)) == 1


def test_no_more_is_done_ahead_than_runs_at_a_time(encoder):
    session = open_side_by_side(encoder.path, encoder)
    begun, running, most = [], set(), 0
    lock = threading.Lock()

    def work(number):
        nonlocal most
        with lock:
            begun.append(number)
            running.add(number)
            most = max(most, len(running))
        time.sleep(0.01)
        with lock:
            running.remove(number)
        return number

    found = each_of(session, work, range(20))
    assert next(found) == 0
    time.sleep(0.1)
    assert len(begun) <= 4
    assert list(found) == list(range(1, 20))
    assert most <= 3


def test_what_fails_is_raised_and_the_rest_not_begun(encoder):
    session = open_side_by_side(encoder.path, encoder)
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise ValueError("it is the third")
        return number

    with pytest.raises(ValueError, match="the third"):
        list(each_of(session, work, range(100)))
    assert len(begun) <= 8
