"""A model that another interpreter answers for."""

import sys
from pathlib import Path

import numpy as np
import pytest

from bench.accuracy.openvino_session import OpenVinoSession
from vampnet_models.errors import InputError


def test_an_interpreter_that_ends_is_an_error_not_a_wait(tmp_path: Path) -> None:
    # Neither the model nor, here, the runtime is there.
    session = OpenVinoSession(tmp_path / "missing.xml", Path(sys.executable))
    with pytest.raises(InputError, match=r"missing\.xml: OpenVINO does not run it"):
        session.run({"codes": np.zeros((1, 4, 8), np.int64)})
