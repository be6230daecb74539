"""The file of picks as a sheet that a person fills in, and what comes back from a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from distil.cli import main

TEXTS = [f"text number {row}, with\nwords" + " and more" * 40 * (row == 3) for row in range(20)]
IDS = [f"a{row}" for row in range(20)]
CLASSES = ("spam", "größe")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("lengths.py").write_text("def encode(items):\n    return [[hash(i) % 97, i.count('e')] for i in items]\n")
    write("texts.csv", [["id", "text", "source"], *([i, text, f"={i}"] for i, text in zip(IDS, TEXTS, strict=True))])
    rng = np.random.default_rng(0)
    np.save("emb.npy", rng.normal(size=(20, 3)).astype(np.float32))
    np.save("p.npy", rng.dirichlet(np.ones(2), 20).astype(np.float32))
    Path("emb.ids.txt").write_text("".join(f"{i}\n" for i in IDS))
    return tmp_path


def write(path, rows, encoding="utf-8", **form):
    text = io.StringIO()
    csv.writer(text, **{"lineterminator": "\n", **form}).writerows(rows)
    Path(path).write_bytes(text.getvalue().encode(encoding))


def rows_of(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def said(capsys):
    def call(*argv, strategy="random_sampling"):
        capsys.readouterr()
        code = main(["select", "--strategy", strategy, *argv])
        return code, *capsys.readouterr()

    return call


POOL = ("--pool", "texts.csv", "--model", "lengths:encode")
ROWS = ("--embeddings", "emb.npy")
EMB = (*ROWS, "--n", "6")


def test_what_the_picks_show(here, said):
    text, source = (dict(zip(IDS, column, strict=True)) for column in (TEXTS, [f"={i}" for i in IDS]))
    assert said(*POOL, "--n", "20", "--out", "a.csv")[0] == 0
    found = rows_of("a.csv")
    assert list(found[0]) == ["rank", "id", "score", "why", "preview", "label"]
    assert {row["label"] for row in found} == {""}
    for row in found:
        line = text[row["id"]].replace("\n", " ")
        assert row["preview"] == (line if len(line) <= 200 else line[:199] + "…")
    assert said(*POOL, "--n", "20", "--show", "source,text", "--out", "b.csv")[0] == 0
    assert [list(row.values()) for row in rows_of("b.csv")] == [
        [row["rank"], row["id"], row["score"], row["why"], f"'{source[row['id']]}", text[row["id"]], ""]
        for row in found
    ]
    assert said(*EMB, "--show", "texts.csv#text", "--out", "c.jsonl")[0] == 0
    entries = [json.loads(line) for line in Path("c.jsonl").read_text().splitlines()]
    assert [entry["text"] for entry in entries] == [text[entry["id"]] for entry in entries]
    assert set(entries[0]) == {"rank", "id", "score", "why", "text"}
    assert said(*EMB, "--out", "d.csv")[0] == 0
    assert list(rows_of("d.csv")[0]) == ["rank", "id", "score", "why", "label"]


def test_rows_without_ids_are_matched_by_place(here, said):
    write("plain.csv", [["text"], *([text] for text in TEXTS)])
    Path("emb.ids.txt").unlink()
    assert said(*EMB, "--show", "plain.csv#text", "--out", "a.csv")[0] == 0
    assert all(row["text"] == TEXTS[int(row["id"])] for row in rows_of("a.csv"))
    assert (
        said("--pool", "plain.csv", "--model", "lengths:encode", "--n", "4", "--show", "text", "--out", "b.csv")[0] == 0
    )
    assert all(row["text"] == TEXTS[int(row["id"])] for row in rows_of("b.csv"))


def test_columns_that_cannot_be_shown(here, said):
    write("short.csv", [["id", "text"], ["a0", "x"]])
    write("bare.csv", [["text"], ["x"]])
    for argv, message in (
        (
            (*EMB, "--show", "text"),
            "show: 'text' is no column, because the pool is no table; name the table, as in texts.csv#text",
        ),
        ((*POOL, "--n", "2", "--show", "txt"), "texts.csv has no column 'txt'; did you mean 'text'?"),
        ((*POOL, "--n", "2", "--show", "text,text"), "show: the picks have a column 'text' already"),
        ((*POOL, "--n", "2", "--show", "id"), "show: the picks have a column 'id' already"),
        ((*EMB, "--show", "short.csv#text"), "show: short.csv has no row with the id 'a1' of the pool"),
        ((*EMB, "--show", "bare.csv#text"), "show: bare.csv has 1 rows and the pool 20; add a column id"),
        ((*EMB, "--show", "gone.csv#text"), "there is no file gone.csv"),
    ):
        code, _, err = said(*argv, "--out", "picks.csv")
        assert (code, message in err) == (2, True), err
    code, _, err = said(*EMB, "--show", "texts.csv#text", "--out", "texts.csv", "--force")
    assert (code, "texts.csv is the file of show too" in err) == (2, True)


def test_a_sheet_comes_back_filled_in_in_part(here, said):
    """Also as spreadsheets write it, with the columns and rows in another order."""
    assert said(*EMB, "--out", "picks.csv")[0] == 0
    picks = rows_of("picks.csv")
    filled = [row | {"label": label} for row, label in zip(picks, ["spam", "", "größe", " ", "", "spam "], strict=True)]
    plain = [list(filled[0]), *(list(row.values()) for row in filled)]
    wide = [[*row, "", ""] for row in plain]
    turned = [row[::-1] for row in plain]
    forms = {
        "as it was": (plain, {}),
        "marked": (plain, {"encoding": "utf-8-sig", "lineterminator": "\r\n"}),
        "semicolons": (plain, {"delimiter": ";", "lineterminator": "\r\n"}),
        "tabs": (plain, {"delimiter": "\t"}),
        "empty columns and rows": ([*wide[:3], [""] * 7, *wide[3:], [""] * 7, [""] * 7], {"delimiter": ";"}),
        "all quoted": (plain, {"quoting": csv.QUOTE_ALL}),
        "other columns first": (turned, {}),
        "sorted": ([plain[0], *sorted(plain[1:], key=lambda row: row[1])], {}),
        "blanks": ([plain[0], *([row[0], f"{row[1]} ", *row[2:]] for row in plain[1:])], {}),
        "Windows-1252": (plain, {"encoding": "cp1252", "delimiter": ";", "lineterminator": "\r\n"}),
    }
    labeled = {picks[row]["id"]: label for row, label in ((0, "spam"), (2, "größe"), (5, "spam"))}
    write("expected.csv", [["id", "label"], *labeled.items()])
    given = (*EMB, "--probs", "p.npy", "--classes", "spam,größe")
    code, expected, err = said(*given, "--labeled", "expected.csv", strategy="glister")
    assert (code, err) == (0, "")
    for name, (rows, form) in forms.items():
        write("sheet.csv", rows, **form)
        code, out, err = said(*given, "--labeled", "sheet.csv", strategy="glister")
        assert (code, out) == (0, expected), (name, err)
        note = {
            "Windows-1252": "sheet.csv is not UTF-8 text, so its labels were read as Windows-1252; ",
            "empty columns and rows": "left out 3 empty rows of sheet.csv; ",
        }.get(name, "")
        assert err == f"note: {note}3 of 6 rows labeled in sheet.csv\n", name
    assert said(*ROWS, "--labeled", "expected.csv", "--exclude", "sheet.csv", "--n", "14")[0] == 0  # all six picks
    assert "15" in said(*ROWS, "--exclude", "sheet.csv", "--n", "15")[2]


def test_a_sheet_without_labels_is_not_taken_for_a_labeled_one(here, said):
    assert said(*EMB, "--out", "picks.csv")[0] == 0
    code, _, err = said(*EMB, "--labeled", "picks.csv")
    assert code == 2
    assert (
        "picks.csv: none of its 6 rows has a label; fill in the labels, or take their column out if all of these ids"
        in err
    )


def test_a_row_that_lost_its_id_is_named(here, said):
    Path("sheet.csv").write_text("id,why,label\na0,,spam\n,,\n,far,\n")
    code, _, err = said(*EMB, "--labeled", "sheet.csv")
    assert (code, "sheet.csv, line 4: the id is missing; fill it in or take the line out" in err) == (2, True)


def test_ids_that_a_spreadsheet_took_for_numbers_are_named(here, said):
    Path("emb.ids.txt").write_text("".join(f"{row:03}\n" for row in range(19)) + "1234567890123456789\n")
    for label, message in (
        (
            "7,spam",
            "a spreadsheet has made '7' of '007': import the column of ids as text there, and enter the labels again",
        ),
        ("7.0,spam", "a spreadsheet has made '7.0' of '007'"),
        ("1.23457E+18,spam", "a spreadsheet has rounded a long number to '1.23457E+18'"),
        ("1,23457E+18;spam", "a spreadsheet has rounded a long number to '1,23457E+18'"),
    ):
        Path("sheet.csv").write_text(f"id{label[-5]}label\n{label}\n")
        code, _, err = said(*EMB, "--labeled", "sheet.csv")
        assert (code, message in err) == (2, True), err


def test_an_id_may_be_listed_again_with_the_same_label(here, said):
    """In one file or in several; with another label, both places are named."""
    Path("one.csv").write_text("id,label\na0,spam\na1,größe\na0,spam\na2,\na2,spam\n")
    Path("two.csv").write_text("id,label\na1,größe\na3,spam\n")
    Path("three.csv").write_text("id,label\na3,spam\na1,spam\n")
    Path("both.csv").write_text("id,label\na4,spam\na5,spam\na4,größe\n")
    Path("list.txt").write_text("a6\na7\na6\n")
    lists = ("--labeled", "one.csv", "--labeled", "two.csv")
    code, out, err = said(*ROWS, *lists, "--exclude", "list.txt", "--exclude", "list.txt", "--n", "14")
    assert (code, len(out.splitlines()), err) == (0, 14, "")
    assert {line.split("\t")[1] for line in out.splitlines()}.isdisjoint({"a0", "a1", "a2", "a3", "a6", "a7"})
    for name in ("candidates", "labeled"):
        assert said(*ROWS, f"--{name}", "list.txt", f"--{name}", "list.txt", "--n", "2")[0] == 0
    code, _, err = said(*EMB, *lists, "--labeled", "three.csv")
    message = "'a1' has the label 'größe' in one.csv, line 3 and 'spam' in three.csv, line 3; keep one of them"
    assert (code, message in err) == (2, True), err
    code, _, err = said(*EMB, "--labeled", "both.csv")
    message = "'a4' has the label 'spam' in both.csv, line 2 and 'größe' in both.csv, line 4; keep one of them"
    assert (code, message in err) == (2, True), err
