"""A paper's table: all data sets in one tabular, which LaTeX sets without a complaint, whatever the names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackclip.reports.document import Document
from stackclip.reports.table import METRICS
from stackclip.reports.writers import written
from stackclip.types import Row

Compiled = Callable[[str], str]
SETS = {"mvtec": 15, "visa": 12, "btad": 3, "mpdd": 6}
METHODS = ("april-gan", "anomalyclip", "stackclip", "sdp", "winclip[shots=4]", "april-gan[shots=4]")
HOSTILE = (
    "</script>",
    "=1+1",
    "a\x1b[2J\u202egnp\u2066",
    r"\input{/etc/passwd}",
    "50% _#^~&$x$ {}}{",
    "*<b>|`größe 日本 αβ ‰",
    "[2ex]",
    "x" * 90,
    "-- '' ``?`!`\\\\",
)


def row(method: str, test_on: str, category: str, seed: int = 0, value: float = 0.931, **facts: Any) -> Row:
    shots = 4 if "[shots=4]" in method else 0
    trained = ("mvtec",) if test_on == "visa" else ("visa",)
    known = {"tower": "ViT-L-14-336", "image_size": 518, "recorded": {"pretrained": "openai"}, **facts}
    return Row(method, trained, test_on, category, shots, seed, dict.fromkeys(METRICS, value), facts=known)


def bench(*seeds: int, **facts: Any) -> list[Row]:
    """Six methods on four data sets."""
    return [
        row(method, name, f"{name}_{number}", seed, 0.9 + number / 300 + seed / 50, **facts)
        for method in METHODS
        for name, count in SETS.items()
        for number in range(count)
        for seed in seeds or (0,)
    ]


def tex_of(rows: list[Row], **view: Any) -> str:
    return written(Document(rows, **view), ".tex")


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("%")]


@pytest.fixture
def compiled(tmp_path: Path) -> Compiled:
    """`compiled(text)`: what LaTeX says of an article with the text in it; the test fails where that is an error."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex at hand: install texlive-latex-recommended to run this test")

    def run(text: str) -> str:
        (tmp_path / "table.tex").write_text(text, "utf-8")
        article = "\n".join(
            [
                r"\documentclass{article}",
                r"\usepackage{booktabs}",
                r"\begin{document}",
                r"\input{table}",
                r"\sloppy\listoftables",
            ]
        )
        (tmp_path / "article.tex").write_text(article + "\n\\end{document}\n")
        words = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "article.tex"]
        for _ in range(2):  # the list of tables is there the second time
            done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=False, timeout=60)
        log = (tmp_path / "article.log").read_text("utf-8", "replace")
        assert done.returncode == 0, log[-2000:]
        return log

    return run


def check_quiet(log: str) -> None:
    assert not re.findall(r"^!.*|Overfull .*|Missing character.*|Float too large.*", log, re.MULTILINE)


def test_all_data_sets_stand_in_one_tabular_with_blocks_for_shots() -> None:
    text = tex_of(bench(), metrics=("image_AUROC", "pixel_AUPRO"))
    assert text.count(r"\begin{tabular}") == 1
    lines = lines_of(text)
    [titles] = [line for line in lines if "{mvtec}" in line]
    assert re.findall(r"\{2\}\{c\}\{(\w+)\}", titles) == list(SETS)
    zero, four = (
        lines.index(rf"\multicolumn{{9}}{{@{{}}l@{{}}}}{{\emph{{{name}}}}} \\") for name in ("zero-shot", "4 shots")
    )
    assert [line.split(" & ")[0] for line in lines[zero + 1 : zero + 5]] == list(METHODS[:4])
    assert lines[four - 1] == r"\midrule"
    mean = {name: 90 + 100 * (count - 1) / 600 for name, count in SETS.items()}
    figures = [f"{value:.1f}" for value in mean.values() for _ in range(2)]
    assert lines[zero + 1] == rf"april-gan & {' & '.join(figures)} \\"


def test_the_caption_says_the_protocol() -> None:
    text = tex_of(bench(0, 1, asked_epochs=3), metrics=("image_AUROC",)).replace(r"\allowbreak{}", "")
    [caption] = [line for line in text.splitlines() if line.startswith(r"\caption")]
    for words in (
        "ViT-L-14-336 (openai) at 518 pixels.",
        "Trained on visa, tested on mvtec (15 categories), btad (3 categories), mpdd (6 categories).",
        "Trained on mvtec, tested on visa (12 categories). 3 epochs.",
        "Mean and standard deviation over seeds 0, 1.",
        "No figure is marked, as none was tested against others (bench -{}-ci).",
    ):
        assert words in caption


def test_the_caption_names_the_sets_where_seeds_differ() -> None:
    def said(rows: list[Row]) -> str:
        text = tex_of(rows, metrics=("image_AUROC",)).replace(r"\allowbreak{}", "")
        return next(line for line in text.splitlines() if line.startswith(r"\caption"))

    many, one = [row("sdp", "mvtec", "nut", seed) for seed in range(3)], row("sdp", "visa", "pcb")
    caption = said([*many, one])
    assert "Mean and standard deviation over seeds 0, 1, 2 on mvtec. Seed 0 alone on visa." in caption
    caption = said([*many, one, row("winclip[shots=4]", "mvtec", "nut")])
    assert "over seeds 0, 1, 2 on mvtec (zero-shot, trained on visa)." in caption
    assert "Seed 0 alone on visa, mvtec (4 shots, trained on visa)." in caption
    assert "Mean and standard deviation over seeds 0, 1, 2.}" in said(many)
    assert "eed" not in said([one])


def test_bold_is_said_to_be_of_as_many_cells() -> None:
    draws = {"count": 1000, "pictures": "ab", "values": {}}
    text = tex_of([row(name, "mvtec", "nut", draws=draws) for name in ("a", "b")])
    assert "Bold: better than every other of as many cells in its block;" in text.replace(r"\allowbreak{}", "")


def test_where_no_row_has_a_metric_that_was_asked_for_there_is_no_table_and_a_line_says_so(compiled: Compiled) -> None:
    rows = [
        Row("a", ("visa",), name, "nut", 0, 0, {"image_AP": 0.5}, facts={"asked_epochs": epochs})
        for name, epochs in (("mvtec", None), ("btad", 3))
    ]
    nowhere = tex_of(rows, metrics=("pixel_AUPRO",), per_category=True)
    assert "tabular" not in nowhere
    assert nowhere.count("% no row has pixel_AUPRO") == 1
    assert re.findall(r"% no table of Anomaly detection on (\w+): no row has a metric that", nowhere) == [
        "mvtec",
        "btad",
    ]
    here = tex_of([replace(rows[0], metrics={"pixel_AP": 0.5}), rows[1]], metrics=("pixel_AP",))
    assert here.count(r"\begin{tabular}") == 1
    assert here.count("% no table of ") == 1
    check_quiet(compiled(nowhere + here))


def test_rows_that_were_asked_for_otherwise_stand_in_tables_of_their_own() -> None:
    rows = [row("a", "mvtec", "nut"), row("a", "visa", "pcb"), row("a", "btad", "01", asked_epochs=3)]
    assert tex_of(rows).count(r"\begin{table}") == 2
    other = Row("a", ("btad",), "mvtec", "nut", 0, 0, {"image_AP": 0.5}, facts=rows[0].facts)
    assert r"\strut mvtec (trained on btad)\strut" in tex_of([rows[0], other], metrics=("image_AP",))


def test_the_appendix_has_a_table_of_categories_by_methods_for_each_data_set_and_metric() -> None:
    text = tex_of(bench(), metrics=("image_AUROC", "pixel_AUPRO"), per_category=True)
    assert text.count(r"\begin{table}") == 1 + 2 * len(SETS)
    lines = lines_of(text)
    line = lines.index(rf"btad\_2 & {' & '.join(['90.7'] * 6)} \\")
    assert lines[line + 1 : line + 3] == [r"\midrule", rf"mean & {' & '.join(['90.3'] * 6)} \\"]


def test_what_lacks_and_what_failed_is_told_apart() -> None:
    rows = [
        Row("a", ("visa",), "mvtec", "nut", 0, 0, {"image_AP": 0.5}, {"pixel_AP": "no masks"}),
        Row("a", ("visa",), "mvtec", "pill", 0, 0, {}, dict.fromkeys(("image_AP", "pixel_AP"), "no masks")),
        Row("b", ("visa",), "mvtec", "nut", 0, 0, error="too dark"),
    ]
    lines = lines_of(tex_of(rows, metrics=("image_AP", "pixel_AP")))
    assert r"a & 50.0\textsuperscript{1/2} & n/a \\" in lines
    assert r"b & failed & failed \\" in lines


@pytest.mark.parametrize(
    ("seeds", "view"),
    [
        ((0,), {"metrics": ("image_AUROC", "pixel_AUPRO")}),
        ((0, 1, 2), {}),
        ((0, 1), {"metrics": ("image_AUROC", "pixel_AUROC"), "per_category": True}),
    ],
    ids=["two metrics", "all metrics", "by category"],
)
def test_latex_sets_six_methods_on_four_sets_without_a_word(
    compiled: Compiled, seeds: tuple[int, ...], view: dict[str, Any]
) -> None:
    check_quiet(compiled(tex_of(bench(*seeds), **view)))


def test_latex_sets_intervals_kinds_of_defects_and_shots(compiled: Compiled) -> None:
    facts = {"by_defect": {"bent_wire": {"pictures": 2, "metrics": {"image_AUROC": 0.5}}}}
    facts["intervals"] = {name: [0.9, 0.95] for name in METRICS}
    facts["draws"] = {"count": 1000, "pictures": "ab", "values": {}}
    check_quiet(compiled(tex_of(bench(**facts), per_defect=True, ci=True, metrics=("image_AUROC",))))
    shots = [row(name, "mvtec", "nut") for name in ("winclip[shots=4]", "winclip")]
    check_quiet(compiled(tex_of(shots, over_shots=True)))


def test_no_name_acts_in_latex_or_leaves_the_page(compiled: Compiled) -> None:
    rows = [
        row(method, name, category, note=HOSTILE[4], tower=HOSTILE[7])
        for method in HOSTILE
        for name in (HOSTILE[0], HOSTILE[5], HOSTILE[7])
        for category in (*HOSTILE[1:4], HOSTILE[6], HOSTILE[8])
    ]
    log = compiled(tex_of(rows, metrics=("image_AUROC", "pixel_AUPRO"), per_category=True))
    assert not re.findall(r"^!.*|Overfull .*|Missing character.*", log, re.MULTILINE)
    assert "/etc/passwd" not in re.findall(r"\((/[^\s()]+)", log)
