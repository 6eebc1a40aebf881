import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vampnet_models.errors import InputError
from vampnet_models.records import npz
from vampnet_models.records.npz import npz_headers, read_npz, write_npz


def _member(shape: tuple[int, ...], payload: bytes) -> bytes:
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + payload


def test_arrays_come_back_whole_whatever_their_names(tmp_path: Path) -> None:
    arrays = {
        "file": np.arange(6, dtype="f4").reshape(2, 3).T,
        "a/b:0": np.array("text"),
        "allow_pickle": np.array([], np.int64),
        "words": np.array(["a", "bc"], dtype=object),
    }
    write_npz(tmp_path / "a.npz", arrays)
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    assert all((found[name] == values).all() for name, values in arrays.items())
    headers = npz_headers(tmp_path / "a.npz")
    assert {n: h.shape for n, h in headers.items()} == {n: v.shape for n, v in arrays.items()}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive["file"].tolist() == arrays["file"].tolist()


def test_files_that_are_no_archives_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "single.npy", np.ones(3))
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    for name in ("text.npz", "single.npy", "zip.npz"):
        with pytest.raises(InputError, match=r"not an \.npz file of plain arrays"):
            read_npz(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_npz(tmp_path / "missing.npz")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", x=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="x holds objects"):
        npz_headers(tmp_path / "o.npz")


def test_a_header_is_not_believed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "h.npz", "w") as archive:
        archive.writestr("x.npy", _member((10**9, 32), bytes(128)))
    with pytest.raises(InputError, match="x holds 128 bytes, and its header says 128000000000"):
        read_npz(tmp_path / "h.npz")


def test_what_would_unpack_to_more_than_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "z.npz", x=np.zeros(5000, "f4"))
    assert read_npz(tmp_path / "z.npz")["x"].shape == (5000,)
    monkeypatch.setattr(npz, "_MOST_UNPACKED_BYTES", 10_000)
    with pytest.raises(InputError, match="unpacks to more"):
        read_npz(tmp_path / "z.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        for _ in range(2):
            archive.writestr("x.npy", _member((1,), bytes(4)))
    with pytest.raises(InputError, match="holds x twice"):
        read_npz(tmp_path / "t.npz")


def test_large_arrays_stay_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "_MAPPED_FROM_BYTES", 4096)
    arrays = {
        "small": np.arange(4),
        "large": np.arange(3000, dtype="f4").reshape(30, 100),
        "turned": np.arange(3000, dtype="f8").reshape(30, 100).T,
    }
    for write, n_mapped in ((write_npz, 2), (_savez, 2), (_savez_compressed, 0)):
        write(tmp_path / "a.npz", arrays)
        found = read_npz(tmp_path / "a.npz")
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype
        mapped = [each for each in found.values() if isinstance(each.base, np.memmap)]
        assert len(mapped) == n_mapped
        assert not any(each.flags.writeable for each in mapped)


def _savez(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(path, **arrays)


def _savez_compressed(path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(path, **arrays)
