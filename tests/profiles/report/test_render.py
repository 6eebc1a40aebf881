from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from optimize.truth.grades import FAITHFUL, HARMLESS, KEEPS, KEEPS_DB
from profiles.report.render import render_report, write_report
from tests.profiles.report.example import results_of
from vampnet_models.errors import InputError
from vampnet_models.family import FAMILIES

PageOf = Callable[[str], Any]


@pytest.fixture
def html(results: dict[str, Any], tmp_path: Path) -> str:
    return render_report(results_of(results), tmp_path)


def test_the_verdict_comes_first(html: str, page_of: PageOf) -> None:
    page = page_of(html)
    assert [s["id"] for s in page.all("section")] == [
        "verdict",
        "totals",
        "models",
        "runtime",
        "phones",
        "where",
        "warnings",
        "reading",
        "command",
    ]
    assert "29.6 MB in FP32, 8.48 MB to ship on cpu" in page.sections["verdict"]
    assert page.text.index("to ship on cpu") < page.text.index("Before and after")


def test_figures_tables_and_their_texts_are_there(html: str, page_of: PageOf) -> None:
    page = page_of(html)
    assert len(page.all("article", "model")) == 4
    charts = page.all("svg", "chart")
    assert len(charts) == 6 + 6 + 6 + 4
    assert all(c["role"] == "img" and c["aria-label"] for c in charts)
    assert len(page.all("figure")) == len(charts)
    models = page.sections["models"]
    for text in ("99.06 %", "98.93–99.18 %", "floor 99.94 %", "within the floor", "24,080"):
        assert text in models
    for text in ("not applicable", "block size 32 does not divide", "no difference", "faster"):
        assert text in models
    assert "int8-static" in page.sections["totals"]
    assert "fp16 codec, int8 transformers" in page.sections["totals"]


def test_sampled_agreement_stands_beside_identity_or_cannot_tell(
    results: dict[str, Any], html: str, page_of: PageOf, tmp_path: Path
) -> None:
    page = page_of(html)
    models = page.sections["models"].replace("\u00a0", " ")
    for text in ("sampled 99.96 %", "99.94–99.98 %", "of 16,384", "worst: song 4, 99.95 %"):
        assert text in models
    assert "cannot tell" not in models and "Sampled agreement" in page.sections["reading"]
    for model in results["models"]:
        for variant in model["variants"]:
            if (variant["accuracy"] or {}).get("sampled_agreement"):
                variant["accuracy"]["sampled_agreement"]["n_clips"] = 8
    models = page_of(render_report(results_of(results), tmp_path)).sections["models"]
    assert "99.94–99.98" in models  # of the details, beside the doubt
    assert "cannot tell: 5 recordings and 8 clips; it needs 12 clips more" in models


def test_costs_stand_beside_identity_with_the_dearest_recording_or_cannot_tell(
    results: dict[str, Any], html: str, page_of: PageOf, tmp_path: Path
) -> None:
    page = page_of(html)
    models = " ".join(page.sections["models"].split())
    for text in (
        "cost +0.0043 nats per token−0.0043 to +0.0128",
        "cost +0.0353 dB log-mel−0.0353 to +0.1060",
        "of 9,968 positionsfloor 0worst: song 4, +0.0128",
        "STFT +0.0035, −0.0035 to +0.0106dB SI-SDR +0.0177",
    ):
        assert text in models
    assert "loses on the recordings themselves" in page.sections["reading"]
    for model in results["models"]:
        for variant in model["variants"]:
            for name in ("cost_nats", "cost_log_mel_db"):
                if (variant["accuracy"] or {}).get(name):
                    variant["accuracy"][name]["n_clips"] = 8
    page = page_of(render_report(results_of(results), tmp_path))
    models = " ".join(page.sections["models"].split())
    assert "nats per tokencannot tell" in models and "dB log-melcannot tell" in models


def test_the_grades_are_defined_as_they_are_held(html: str) -> None:
    told = html[html.index("<dt>Grade</dt>") :]
    told = told[: told.index("</dd>")].replace("&nbsp;", " ").replace("\u00a0", " ")
    faithful, harmless = told[: told.index("Harmless")], told[told.index("Harmless") :]
    assert f"at least {FAITHFUL.min_sampled or 0:.0%}".replace("%", " %") in faithful
    assert f"at most {FAITHFUL.max_log_mel_db} dB log-mel" in faithful
    assert f"{FAITHFUL.max_log_mel_of_one_db} on every recording" in faithful
    assert f"at most {HARMLESS.max_cost_nats} nats per token" in harmless
    assert f"at most {HARMLESS.max_log_mel_db} dB log-mel" in harmless
    assert f"{HARMLESS.max_log_mel_of_one_db} on every recording" in harmless
    assert f"{HARMLESS.max_si_sdr_db} dB SI-SDR" in harmless
    assert f"{KEEPS:.0%}".replace("%", " %") in harmless and f"{KEEPS_DB:g} dB SQNR" in harmless


def test_small_models_are_not_said_to_weigh_what_full_size_ones_do(
    results: dict[str, Any], html: str, page_of: PageOf, tmp_path: Path
) -> None:
    totals = page_of(html).sections["totals"]
    assert "At full size, seeded weights" in totals and "Against the 1.8" not in totals
    assert re.search(r"\s3\.04\sGB\s", totals)
    assert "goal" not in totals
    assert "≈" not in totals
    assert "coarse coarse" not in page_of(html).text

    for model, size in zip(results["models"], (91.4e6, 1.33e9, 1.10e9, 510e6), strict=True):
        model["source_bytes"] = size
    model["name"] = "mine"
    page = page_of(render_report(results_of(results), tmp_path))
    assert re.search(r"Against the 1\.8\sGB goal", page.sections["totals"])
    assert f"mine {model['role']}" in page.sections["models"]


def test_a_codec_alone_is_explained_without_what_is_vampnets(
    results: dict[str, Any], tmp_path: Path, page_of: PageOf
) -> None:
    encoder, *_, decoder = results["models"]
    results |= {"models": [encoder, decoder], "totals": {}, "sets": [], "chains": []}
    for model in results["models"]:
        model["family"] = asdict(FAMILIES[3])
    page = page_of(render_report(results_of(results), tmp_path))
    assert "DAC 16 kHz (16,000 Hz, 320 samples a frame)" in page.sections["verdict"]
    assert "goal" not in page.text and "At full size" not in page.text
    reading = page.sections["reading"]
    assert "Token agreement" in reading and "SI-SDR" in reading and "Beats" not in reading
    results["models"] = [decoder]
    reading = page_of(render_report(results_of(results), tmp_path)).sections["reading"]
    assert "Token agreement" not in reading and "Near ties" not in reading


def test_the_runtimes_own_graph_has_a_table(html: str) -> None:
    section = html[html.index('<section id="runtime">') : html.index('<section id="phones">')]
    assert "2 Conv, 3.75\u00a0%: the &lt;first&gt; convolution" in section
    assert "not checked" in section
    assert '<a href="#runtime">' in html


def test_nothing_is_loaded_from_anywhere(html: str, page_of: PageOf) -> None:
    page = page_of(html)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), (tag, name, value)
        assert not [n for n in attributes if n.startswith("on")], (tag, attributes)
        assert "style" not in attributes, (tag, "the policy forbids style attributes")
        assert tag not in ("link", "iframe", "object", "embed", "base")
    assert not re.search(r"https?://|url\(|@import", html)


def test_the_policy_allows_exactly_this_style_and_script(html: str, page_of: PageOf) -> None:
    policy = next(
        m["content"]
        for m in page_of(html).all("meta")
        if m.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_measured_estimated_and_absent_look_different(html: str, page_of: PageOf) -> None:
    page = page_of(html)
    for kind in ("measurement", "estimate", "absent"):
        assert len(page.all("span", kind)) > 10
    assert page.all("path", "hollow") and page.all("path", "filled")
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_missing_figures_are_said_never_blank(page_of: PageOf, tmp_path: Path) -> None:
    variant = {"recipe": "fp16", "status": "ok"}
    page = page_of(
        render_report(
            results_of({"schema": 1, "models": [{"name": "m", "variants": [variant]}]}), tmp_path
        )
    )
    assert page.sections["models"].count("not measured") >= 8
    assert "not recorded" in page.sections["models"]
    assert "None" not in page.text.replace("None were recorded", "")
    assert "No charts" in page.sections["models"]
    assert "The machine was not recorded" in page.sections["where"]


def test_an_empty_run_is_a_page(page_of: PageOf, tmp_path: Path) -> None:
    page = page_of(render_report(results_of({"schema": 1}), tmp_path))
    assert "No model in this run" in page.sections["verdict"]


def test_names_are_escaped(results: dict[str, Any], page_of: PageOf, tmp_path: Path) -> None:
    nasty = '<script>alert("ü")</script> & "née"'
    results["models"][0]["name"] = nasty
    results["models"][0]["variants"][0]["recipe"] = nasty
    results["models"][1]["variants"][0]["reason"] = nasty
    results["tool"]["command"] = f"vampbench run '{nasty}'"
    results["host"]["versions"][nasty] = nasty
    results["audio_set"]["dropped"][0] = {"name": nasty, "reason": nasty}
    results["audio"] = [{"path": nasty, "name": nasty}]
    html = render_report(results_of(results), tmp_path)
    page = page_of(html)
    assert "<script>alert" not in html
    assert len(page.all("script")) == 1
    for section in ("models", "totals", "listen", "where", "warnings", "command"):
        assert nasty in page.sections[section], section


def test_seeded_weights_are_said_at_the_model_too(
    results: dict[str, Any], page_of: PageOf, tmp_path: Path
) -> None:
    results["models"][0]["weights"] = "seeded"
    page = page_of(render_report(results_of(results), tmp_path))
    words = "seeded weights: not an accuracy claim"
    assert words in page.sections["verdict"]
    assert words in page.sections["models"]


def test_every_cell_has_text(html: str) -> None:
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html, re.DOTALL)
    assert len(cells) > 200
    for cell in cells:
        assert re.sub(r"<[^>]+>", "", cell).strip() or "bar-chart" in cell, cell


def test_write_report_reads_the_file_and_writes_atomically(
    results: dict[str, Any], tmp_path: Path
) -> None:
    source = tmp_path / "run é" / "results.json"
    source.parent.mkdir()
    source.write_text(json.dumps(results), encoding="utf-8")
    out = tmp_path / "deep" / "report.html"
    html = write_report(source, out)
    assert out.read_text(encoding="utf-8") == html
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no readable results.json \(No such file"),
        (b"{", "no readable results.json .*line 1"),
        (b"[]", "is no results.json"),
        (b"\xff\xfe", "no readable results.json .*utf-8"),
        (b'{"schema": 9}', "schema 9; this version reads 1"),
    ],
)
def test_bad_results_are_one_line_and_write_nothing(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "results.json", tmp_path / "report.html"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        write_report(source, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()
