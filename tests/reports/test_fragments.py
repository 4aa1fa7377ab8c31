"""A notebook shows tables as HTML in which no name is markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from stackclip.reports.document import Document
from stackclip.session import BenchRows, Inspection, PictureScore
from stackclip.types import Row

NAME = "</td><script>alert(1)</script>&amp;\x1b[2J\u202e"
SHOWN = "</td><script>alert(1)</script>&amp;\\x1b[2J\\u202e"


class Cells(HTMLParser):
    """The tags of a piece of HTML, and the text of each cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.cells = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        assert not attrs
        if tag in ("td", "th", "li", "caption"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_rows_and_documents_show_their_tables_and_notes() -> None:
    rows = [
        Row(name, ("visa",), "mvtec", "nut", 0, 0, {"image_AP": value}, facts={"note": NAME})
        for name, value in (("a", 0.5), (NAME, 0.75))
    ]
    for shown in (Document(rows), BenchRows(tuple(rows))):
        found = Cells(shown._repr_html_())
        assert {*found.tags} <= {"p", "table", "caption", "thead", "tbody", "tr", "th", "td", "b", "u", "ul", "li"}
        assert found.cells[found.cells.index("method") :] == ["method", "image AP", "a", "50.0", SHOWN, "75.0", SHOWN]
        assert "<b>75.0</b>" in shown._repr_html_()
    assert "no method" in BenchRows()._repr_html_()


def test_an_inspection_shows_its_first_scores_and_how_many_there_are() -> None:
    scores = tuple(PictureScore(NAME, Path(f"{number}.png"), number / 3, 0.5, anomalous=True) for number in range(30))
    found = Cells(Inspection(scores)._repr_html_())
    assert found.cells[0] == "30 scores, the first 20 of them"
    assert found.cells[1:6] == ["method", "picture", "score", "map_maximum", "anomalous"]
    assert found.cells[6:11] == [SHOWN, "0.png", "0", "0.5", "True"]
    assert len(found.cells) == 1 + 5 * 21
    assert Cells(Inspection(())._repr_html_()).cells == ["0 scores"]
