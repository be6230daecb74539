"""Texts in csv files for people: no cell is a formula, and every text comes back as an id and as a label."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distil.data.array_files import read_column
from distil.data.cells import csv_text, escaped, unescaped, with_control
from distil.data.ids import normal, read_ids
from distil.data.pools import open_pool
from distil.datasets.tables import read_csv
from distil.errors import InvalidInput
from distil.system.files import write_text

FORMULAS = ["=1+1", "@x", "\tx", "\rx", "+x", "-x", "-", "+", "-1-1", "-1\n", "+ 1", "--1", "-1e", "-inf", "-1_000"]
PLAIN = ["x=1", "-1", "+1.5", "-.5", "-1.", "-1e-5", "+1E5", "'", "'a", "", " =1", "'-1", "''+2"]

FIGURES = Path(__file__).parents[2] / "src/distil/experiment/page/figures.js"


def test_what_is_escaped():
    assert [escaped(text) for text in FORMULAS] == [f"'{text}" for text in FORMULAS]
    assert [escaped(text) for text in PLAIN] == PLAIN
    assert (escaped("'=1"), escaped("''@"), unescaped("''=1"), unescaped("'''@")) == ("''=1", "'''@", "'=1", "''@")
    assert [unescaped(text) for text in (*FORMULAS, *PLAIN)] == [*FORMULAS, *PLAIN]


TEXTS = st.text(st.sampled_from("'=@+-\t\r\n \",;0a\u00fc1.e\ufeff"), min_size=1, max_size=6) | st.text(min_size=1)


@given(st.lists(TEXTS, min_size=1, max_size=5, unique=True))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_text_is_an_id_and_a_label_again(tmp_path, texts):
    """Whatever a program or a person calls an example or a class; blanks and control characters are no id."""
    texts = [text for text in texts if text.strip() and with_control([text]) is None]
    rows = [["rank", "id", "label"], *([rank, text, text] for rank, text in enumerate(texts, 1))]
    path = tmp_path / "picks.csv"
    write_text(path, csv_text(rows, path.name))
    with path.open(newline="", encoding="utf-8") as file:  # what a spreadsheet sees
        cells = [row[1] for row in csv.reader(file)][1:]
    assert not any(cell[0] in "=@\t\r" for cell in cells)
    assert all(float(cell) is not None for cell in cells if cell[0] in "+-")  # no ValueError: numbers alone begin so
    if texts:
        found = read_ids(path)
        assert found.names == tuple(texts)
        assert found.labels == tuple(map(normal, texts))


def test_every_reader_of_csv_takes_it_off(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,text,e0,label\n'=1+1,a text,0.5,'=cat\n''=1,more text,1.5,'tis\n")
    names = ["=1+1", "'=1"]
    assert list(open_pool(path).names) == names
    assert read_column(f"{path}#e0").names == names
    assert (read_ids(path).names, read_ids(path).labels) == (tuple(names), ("=cat", "'tis"))
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("e0,label\n0.5,'=cat\n1.5,'tis\n")
    assert read_csv(numbers).labels.tolist() == ["=cat", "'tis"]
    lines = tmp_path / "x.jsonl"
    lines.write_text("".join(json.dumps({"id": name, "label": name}) + "\n" for name in ("'=1+1", "=1+1")))
    assert read_ids(lines).names == read_ids(lines).labels == ("'=1+1", "=1+1")


def test_what_no_csv_can_hold_is_named():
    for text in ("a\0b", "\ud800"):
        with pytest.raises(InvalidInput, match=r"holds a character that picks\.csv cannot hold, such as NUL") as error:
            csv_text([["id"], [text]], "picks.csv")
        assert repr(text) in str(error.value)
    assert csv_text([["id"], ["\udcfc.png"]], "picks.csv") == "id\n\udcfc.png\n"  # the name of a file, in any encoding


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_page_escapes_alike():
    lines = [line for line in FIGURES.read_text().splitlines() if line.startswith(("const formula", "const escaped"))]
    script = f"{'; '.join(lines)}; console.log(JSON.stringify({json.dumps([*FORMULAS, *PLAIN, -1])}.map(escaped)))"
    found = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout
    assert json.loads(found) == [*map(escaped, [*FORMULAS, *PLAIN]), "-1"]
