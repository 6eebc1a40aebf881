"""Matrices on disk: what was put is what is read, after the shelf is gone."""

from pathlib import Path

import numpy as np
import pytest

from optimize.precision.shared.shelf import Shelf


def test_matrices_come_back_whole_and_leave_no_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    rng = np.random.default_rng(0)
    first, second = (rng.integers(-128, 128, (6, n), np.int8) for n in (5, 3))
    kept = [shelf.put(first), shelf.put(second.T.copy().T)]
    del shelf
    np.testing.assert_array_equal(kept[0].read(), first)
    np.testing.assert_array_equal(kept[1].read(), second)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        Shelf(tmp_path / "gone")
