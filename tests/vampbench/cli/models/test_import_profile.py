import json


def test_imported_profiles_gather_in_one_file(vampbench, tmp_path):
    out = tmp_path / "imported.json"
    for name, seconds in (("coarse", 0.01), ("c2f", 0.02), ("coarse", 0.01)):
        path = tmp_path / f"{name}.csv"
        path.write_text("".join(f"{name},{seconds},1000000,90,{i}\n" for i in range(3)))
        done = vampbench("import-profile", path, "--device", "Pixel 9", "-o", out)
        assert done.code == 0
        assert "measured on pixel 9, imported" in done.stderr.lower() + done.stdout.lower()
    content = json.loads(out.read_text())
    assert content["schema"] == 1
    records = content["records"]
    assert [(r["model"], r["median_s"]) for r in records] == [("c2f", 0.02), ("coarse", 0.01)]


def test_a_file_from_before_it_had_a_version_is_added_to(vampbench, tmp_path):
    out, given = tmp_path / "imported.json", tmp_path / "coarse.csv"
    given.write_text("coarse,0.01,1000000,90,0\n")
    command = ("import-profile", given, "--device", "Pixel 9", "-o", out)
    assert vampbench(*command).code == 0
    before = json.loads(out.read_text())
    del before["schema"]
    before["records"][0] |= {"source_sha256": "another", "device": "Pixel 8"}
    out.write_text(json.dumps(before))
    assert vampbench(*command).code == 0
    assert [r["device"] for r in json.loads(out.read_text())["records"]] == ["Pixel 8", "Pixel 9"]
    before["records"][0]["mood"] = 1
    out.write_text(json.dumps(before))
    done = vampbench(*command)
    assert done.code == 2
    assert done.lines[0].endswith("records[0].mood: no such field; import anew, to another output")


def test_a_bad_file_is_one_line_and_leaves_the_output_alone(vampbench, tmp_path):
    out, bad = tmp_path / "imported.json", tmp_path / "bad"
    bad.write_text("nothing")
    done = vampbench("import-profile", bad, "--device", "x", "-o", out)
    assert done.code == 2
    assert len(done.lines) == 1
    assert not out.exists()
    out.write_text("[]")
    bad.write_text("m,0.1,1,1,0\n")
    assert vampbench("import-profile", bad, "--device", "x", "-o", out).code == 2
    assert out.read_text() == "[]"


def test_what_is_no_file_of_text_is_one_line(vampbench, tiny, tmp_path):
    for given in (tmp_path, tmp_path / "absent", tiny / "coarse.onnx"):
        done = vampbench("import-profile", given, "--device", "x", "-o", tmp_path / "out.json")
        assert (done.code, len(done.lines)) == (2, 1)
        assert f"error: {given}: cannot be read: " in done.lines[0] and "[" not in done.lines[0]
    assert not (tmp_path / "out.json").exists()
