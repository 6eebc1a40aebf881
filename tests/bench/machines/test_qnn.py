import sys

from bench.machines import qnn


def test_without_the_extra_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("profiles.targets.qnn.PACKAGE", "no-such-package")
    out = tmp_path / "qnn.json"
    monkeypatch.setattr(sys, "argv", ["qnn", "--out", str(out), "--work", str(tmp_path)])
    assert qnn.main() == 2
    assert 'pip install "vampnet-workbench[qnn]"' in capsys.readouterr().err
    assert not out.exists()
