"""Whose fault an unforeseen error is: a graph that the runtime refuses too is told in its words.

A conversion takes for granted what every operator's schema says: how many inputs, of which type and
rank. The runtime checks that, when it opens a model; asking it first would double the time of each
conversion, so it is asked where one failed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from vampnet_models.errors import InputError, NotApplicable, WorkbenchError
from vampnet_models.onnxfile.artifact import Artifact
from vampnet_models.onnxfile.session import open_session

_P = ParamSpec("_P")
_T = TypeVar("_T")


def blaming_the_source(
    work: Callable[Concatenate[Artifact, _P], _T],
) -> Callable[Concatenate[Artifact, _P], _T]:
    """Let `work` on a model end with the runtime's InputError where the runtime refuses the model.

    An unforeseen error over a model that does open passes as it is: it is a fault of ours.
    """

    @wraps(work)
    def done(source: Artifact, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return work(source, *args, **kwargs)
        except (WorkbenchError, NotApplicable):
            raise
        except Exception as error:
            try:
                open_session(source.path, graph_optimization="disabled")
            except InputError as refusal:
                raise refusal from error
            raise

    return done
