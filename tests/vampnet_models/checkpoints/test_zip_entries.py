import zipfile

import pytest

from tests.vampnet_models.make_checkpoint import write_zip
from vampnet_models.checkpoints.zip_entries import open_archive
from vampnet_models.errors import InputError

PAYLOAD = bytes(range(256)) * 8


def refused(path):
    with pytest.raises(InputError) as caught:
        open_archive(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_entries_are_found_where_their_bytes_lie(tmp_path):
    path = write_zip(tmp_path / "a.pth", {"data.pkl": b"pickle", "data/0": PAYLOAD})
    archive = open_archive(path)
    entry = archive.entries["data/0"]
    assert path.read_bytes()[entry.offset : entry.offset + entry.n_bytes] == PAYLOAD
    assert archive.read("data.pkl", 100) == b"pickle"


def test_an_entry_over_the_limit_is_not_read(tmp_path):
    archive = open_archive(write_zip(tmp_path / "a.pth", {"data.pkl": PAYLOAD}))
    with pytest.raises(InputError, match=r"data\.pkl has 2048 bytes, more than the 100"):
        archive.read("data.pkl", 100)


def test_an_absent_entry_is_named(tmp_path):
    archive = open_archive(write_zip(tmp_path / "a.pth", {"x": b""}))
    with pytest.raises(InputError, match=r"holds no data\.pkl"):
        archive.read("data.pkl", 100)


def test_compressed_entries_are_refused_unread(tmp_path):
    bomb = {"data.pkl": b"x", "data/0": bytes(50_000_000)}
    path = write_zip(tmp_path / "bomb.pth", bomb, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "is compressed" in refused(path)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "C:/evil"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    path = tmp_path / "escape.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
        archive.writestr(name, b"x")
    assert "leaves the archive's folder" in refused(path)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("archive/data.pkl", b"two")
    assert "twice" in refused(path)


def test_overlapping_entries_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.pth", {"data/0": PAYLOAD, "data/1": PAYLOAD})
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 4)
    data[second + 42 : second + 46] = bytes(4)  # the second entry's header offset: the first's
    path.write_bytes(data)
    assert "overlaps another" in refused(path)


def test_encrypted_entries_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.pth", {"data.pkl": b"x"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "is encrypted" in refused(path)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_a_truncated_zip_is_named_so(tmp_path, kept):
    path = write_zip(tmp_path / "a.pth", {"data.pkl": b"x", "data/0": PAYLOAD})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert "truncated or damaged" in refused(path)


@pytest.mark.parametrize(("at", "value"), [("PK\x01\x02", 7), ("PK\x05\x06", 255)])
def test_a_directory_that_points_elsewhere_is_damage(tmp_path, at, value):
    path = write_zip(tmp_path / "a.pth", {"data.pkl": PAYLOAD})
    data = bytearray(path.read_bytes())
    # An entry's header offset; the directory's own offset, which shifts all others below zero.
    place = 42 if at == "PK\x01\x02" else 17
    data[data.index(at.encode()) + place] = value
    path.write_bytes(data)
    assert "not where the directory says" in refused(path)


def test_a_zip_of_several_folders_is_no_checkpoint(tmp_path):
    path = tmp_path / "several.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one/data.pkl", b"x")
        archive.writestr("two/data.pkl", b"x")
    assert "not of one PyTorch checkpoint" in refused(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a pickle, not a zip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"version https://git-lfs", "no zip"),
    ],
)
def test_other_formats_are_recognised(tmp_path, content, said):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    assert said in refused(path)


def test_a_missing_file_a_folder_and_an_onnx_model_say_what_they_are(tmp_path):
    assert "no such file" in refused(tmp_path / "none.pth")
    assert "a folder" in refused(tmp_path)
    model = tmp_path / "model.onnx"
    model.write_bytes(b"\x08\x0a\x12\x07")
    assert "needs no import" in refused(model)


def test_a_directory_larger_than_any_checkpoints_is_not_read(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.pth", {f"data/{i}": b"x" for i in range(40)})
    monkeypatch.setattr("vampnet_models.checkpoints.zip_entries._MAX_DIRECTORY_BYTES", 2000)
    assert "names a directory of" in refused(path)


def test_a_long_name_is_cut_in_the_message(tmp_path):
    path = tmp_path / "escape.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
        archive.writestr("../" + "\x1b" * 60_000, b"x")
    assert len(refused(path)) < 1000
