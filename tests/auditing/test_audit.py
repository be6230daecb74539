"""What an audit finds in pools in which it was put there, and that it finds nothing where there is nothing."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from distil.auditing.audit import audit
from distil.auditing.page import audit_page
from distil.data.array_files import Column
from distil.data.pools import open_pool
from distil.errors import InvalidInput

NAMES = [f"n{row:03}" for row in range(400)]


def rows_of(n=400, dims=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dims)).astype(np.float32)


def pool_of(x, names=None):
    return open_pool(x, ids=NAMES[: len(x)] if names is None else names)


@pytest.fixture
def write(tmp_path):
    def ids(names, labels=None, name="labeled.csv"):
        lines = [f"{n},{label}" for n, label in zip(names, labels, strict=True)] if labels else names
        (tmp_path / name).write_text("\n".join(["id,label" if labels else "id", *lines]) + "\n")
        return str(tmp_path / name)

    return ids


# -------------------------------------------------------------------------------------------------------------- duplicates


def test_a_clean_pool_is_clean(write):
    report = audit(
        pool_of(rows_of()), labeled=write(NAMES[::4], ["a", "b"] * 50), test=write(NAMES[1::8], name="t.csv")
    )
    assert report["duplicates"]["exact"]["items"] == 0
    assert report["duplicates"]["near"] == {"items": 0, "looked_at": 400, "examples": []}
    assert [(entry["exact"], entry["near"]) for entry in report["leakage"]] == [(0, 0)] * 3
    assert not any(entry["drift"] for entry in report["drift"])
    assert report["outliers"]["items"] <= 4
    json.dumps(report, allow_nan=False)


def test_duplicates():
    x = rows_of()
    x[[10, 20, 30]] = x[5]
    x[41] = x[40]
    x[51] = x[50] + 0.01
    report = audit(pool_of(x))
    exact, near = report["duplicates"]["exact"], report["duplicates"]["near"]
    assert (exact["items"], exact["groups"]) == (4, 2)
    assert exact["examples"] == [["n005", "n010", "n020", "n030"], ["n040", "n041"]]
    assert near["items"] == 8
    assert [pair["ids"] for pair in near["examples"]] == [["n050", "n051"]]
    assert near["examples"][0]["distance"] == pytest.approx(
        0.01 * 8**0.5 / report["pool"]["typical_distance"], rel=1e-3
    )


def test_near_sets_the_radius_of_near_duplicates():
    x = rows_of()
    dists = torch.cdist(torch.from_numpy(x).double(), torch.from_numpy(x).double()).fill_diagonal_(torch.inf)
    for near in (0.1, 0.3, 0.5):
        report = audit(pool_of(x), near=near)
        radius = near * report["pool"]["typical_distance"]
        assert report["duplicates"]["near"]["items"] == int((dists.min(1).values <= radius).sum())


def test_a_sample_of_a_large_pool_is_compared_with_all_of_it():
    x = rows_of()
    x[200:] = x[:200]
    report = audit(pool_of(x), rows=50)
    assert report["duplicates"]["near"]["looked_at"] == report["duplicates"]["near"]["items"] == 50
    assert report["duplicates"]["exact"]["items"] == 200
    assert any(re.match("50 of [0-9,]+ items, drawn at random, were compared", note) for note in report["notes"])
    assert audit(pool_of(x), rows=50) == report


# ---------------------------------------------------------------------------------------------------------------- leakage


def test_leaks_between_sets_of_ids(write):
    x = rows_of()
    x[100] = x[0]  # test and labeled, exactly
    x[101] = x[1] + 0.01  # test and labeled, nearly
    x[102] = x[300]  # test and pool
    labeled, test = write(NAMES[:100]), write(NAMES[100:150], name="test.csv")
    leaks = {tuple(entry["between"]): entry for entry in audit(pool_of(x), labeled=labeled, test=test)["leakage"]}
    assert [entry["exact"] for entry in leaks.values()] == [1, 1, 0]
    assert [entry["near"] for entry in leaks.values()] == [2, 1, 0]
    assert [e["ids"] for e in leaks["test", "labeled"]["examples"]] == [["n100", "n000"], ["n101", "n001"]]
    assert leaks["test", "pool"]["examples"] == [{"ids": ["n102", "n300"], "distance": 0.0}]


def test_sets_outside_the_pool(tmp_path):
    x, y = rows_of(), rows_of(30, seed=1)
    y[3] = x[7]
    np.save(tmp_path / "test.npy", y)
    report = audit(pool_of(x), test=str(tmp_path / "test.npy"))
    (leak,) = report["leakage"]
    assert (leak["between"], leak["exact"], leak["near"]) == (["test", "pool"], 1, 1)
    assert leak["examples"][0]["ids"] == ["3", "n007"]
    assert [entry["between"] for entry in report["drift"]] == [["test", "pool"]]
    np.save(tmp_path / "test.npy", y[:, :3])
    with pytest.raises(InvalidInput, match="have 3 columns, but those of the pool have 8"):
        audit(pool_of(x), test=str(tmp_path / "test.npy"))


# ------------------------------------------------------------------------------------- outliers, drift, classes, coverage


def test_outliers(case):
    for scale in [1e-3, 1, 1e3]:
        with case(scale):
            x = rows_of()
            x[[17, 99]] *= 20
            report = audit(pool_of(x * np.float32(scale)))
            assert {"n017", "n099"} == {entry["id"] for entry in report["outliers"]["examples"][:2]}
            assert report["outliers"]["items"] <= 6


def test_outliers_are_distances_to_ten_neighbors():
    from sklearn.neighbors import NearestNeighbors

    x = rows_of()
    x[3] += 30
    report = audit(pool_of(x))
    dists, _ = NearestNeighbors(n_neighbors=11).fit(x).kneighbors(x)
    means = np.log(dists[:, 1:].mean(1))
    mad = 1.4826 * np.median(np.abs(means - np.median(means)))
    threshold = np.exp(np.median(means) + 3.5 * mad) / report["pool"]["typical_distance"]
    assert report["outliers"]["threshold"] == pytest.approx(threshold, rel=1e-2)
    found = report["outliers"]["examples"][0]
    assert found["id"] == "n003"
    assert found["distance"] == pytest.approx(dists[3, 1:].mean() / report["pool"]["typical_distance"], rel=1e-3)


def test_drift(case, write):
    for shift in [0.0, 0.3, 3.0]:
        with case(shift):
            x = np.concatenate([rows_of(800, seed=0), rows_of(2000, seed=1)])
            x[:800, 0] += np.float32(shift)
            names = [f"{row}" for row in range(2800)]
            (found,) = audit(pool_of(x, names), labeled=write(names[:800]))["drift"]
            assert found["drift"] == (shift >= 3)
            if shift:
                from scipy.stats import norm

                assert found["auc"] == pytest.approx(norm.cdf(shift / 2**0.5), abs=0.05)  # that of the best classifier
            else:
                assert abs(found["auc"] - 0.5) < 4 * found["standard_error"]


@pytest.mark.slow
def test_no_drift_is_seen_in_random_parts(write):
    """The test's own error: eight pools that do not differ, with more dimensions than labels."""
    found = []
    for seed in range(8):
        x = rows_of(400, 60, seed)
        found += audit(pool_of(x), labeled=write(NAMES[:40]))["drift"]
    assert not any(entry["drift"] for entry in found)
    assert abs(np.mean([entry["auc"] for entry in found]) - 0.5) < 0.05


def test_classes(write):
    labeled = write(NAMES[:6], ["cat"] * 5 + ["dog"])
    labels = write(NAMES[3:12], ["cat"] * 2 + ["dog"] + ["owl"] * 6, name="labels.csv")
    classes = audit(pool_of(rows_of()), labeled=labeled, labels=labels)["classes"]
    assert classes == {
        "labeled": {"cat": 5, "dog": 1, "owl": 0},
        "known": {"cat": 5, "dog": 1, "owl": 6},
        "without": ["owl"],
        "unknown": 0,
    }
    with pytest.raises(InvalidInput, match="has no labels"):
        audit(pool_of(rows_of()), labels=write(NAMES[:3]))


def test_coverage(write):
    x = rows_of()
    x[399] += 50
    report = audit(pool_of(x), labeled=write(NAMES[:200]))
    dists = torch.cdist(torch.from_numpy(x[200:]).double(), torch.from_numpy(x[:200]).double()).min(1).values
    assert report["coverage"]["median"] == pytest.approx(
        float(dists.median()) / report["pool"]["typical_distance"], rel=1e-3
    )
    assert report["coverage"]["farthest"][0]["id"] == "n399"


# --------------------------------------------------------------------------------------------------------- what is looked at


def test_too_few_items(write):
    report = audit(pool_of(rows_of(12)), labeled=write(NAMES[:2]))
    assert report["drift"] == []
    assert any("too few to test for drift" in note for note in report["notes"])
    with pytest.raises(InvalidInput, match="all embeddings are equal"):
        audit(pool_of(np.ones((9, 2), np.float32)))


def test_not_finite_rows_are_named():
    x = rows_of()
    x[[3, 50]] = np.nan
    with pytest.raises(InvalidInput, match=r"2 of 400 items of the pool are NaN or infinite: n003, n050"):
        audit(pool_of(x))


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for row in range(30):
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)).save(folder / f"<{row:02}>.png")
    (folder / "<05>.png").write_bytes((folder / "<03>.png").read_bytes())
    return folder


def test_images_without_embeddings(images):
    report = audit(str(images))
    assert report["duplicates"] == {
        "exact": {"items": 1, "groups": 1, "examples": [["<03>.png", "<05>.png"]]},
        "near": None,
    }
    assert report["outliers"] is report["coverage"] is None
    assert any("without embeddings" in note for note in report["notes"])


def test_images_of_which_some_have_embeddings(images):
    pool = open_pool(str(images))
    names = [name for name in pool.names if name != "<07>.png"][::-1]
    report = audit(pool, embeddings=Column(rows_of(29), names, "emb.npy"))
    assert report["pool"]["items"] == 29
    assert report["duplicates"]["exact"]["examples"] == [["<05>.png", "<03>.png"]]
    with pytest.raises(InvalidInput, match="29 rows and no ids, but the pool has 30 items"):
        audit(pool, embeddings=Column(rows_of(29), None, "emb.npy"))


class Checker(HTMLParser):
    """Well-formed as far as it closes what it opens, and nothing from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.pictures, self.text = [], [], 0, ""

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        self.pictures += tag == "img"
        self.outside += [v for k, v in attributes if k in ("src", "href") and not v.startswith("data:")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page(images, write):
    pool = open_pool(str(images))
    x = rows_of(30)
    x[9] = x[8] + 1e-3
    labeled = write(pool.names[:12], ["<b>cat</b>", "dog"] * 6)
    report = audit(
        pool,
        embeddings=Column(x, list(pool.names), "emb.npy"),
        labeled=labeled,
        test=write(pool.names[20:25], name="t.csv"),
    )
    page = audit_page(report, "images & more", pool)
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.outside == []
    assert checker.pictures >= 4
    assert "images &amp; more" in page
    assert "<b>cat</b>" in checker.text
    assert page.count("<b>") == 1  # the footer's own
    for title in ("Classes", "Exact duplicates", "Near-duplicates", "Items farthest from the labeled set"):
        assert f"<h2>{title}" in page


def test_reports_show_texts_and_files(tmp_path):
    long = "word " * 100
    (tmp_path / "pool.csv").write_text(f"id,text\na,one <i> text\nb,One <i> TEXT\nc,{long}\nd,{long}\ne,alone\n")
    (tmp_path / "test.csv").write_text("id,text\na,alone\nz,nothing\n")
    report = audit(str(tmp_path / "pool.csv"), test=str(tmp_path / "test.csv"))
    shown = report["items"]
    assert shown["pool"] == {
        "a": "one <i> text",
        "b": "One <i> TEXT",
        "c": long[:200] + "...",
        "d": long[:200] + "...",
        "e": "alone",
    }
    assert shown["test"] == {"a": "alone"}  # the same id, another item
    page, checker = audit_page(report, "texts"), Checker()
    checker.feed(page)
    assert "a: one <i> text" in checker.text
    assert "a: alone" in checker.text
    assert "<i>" not in page


def test_pictures_are_those_of_the_set(tmp_path):
    """Two folders may have the same names; names that say the file are not repeated."""
    for folder, colors in [("pool", ("red", "blue")), ("test", ("blue", "green"))]:
        (tmp_path / folder).mkdir()
        for name, color in zip("ab", colors, strict=True):
            Image.new("RGB", (4, 4), color).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "pool.csv").write_text("id,path\n1,pool/a.png\n2,pool/b.png\n")
    pool, test = open_pool(tmp_path / "pool.csv"), open_pool(tmp_path / "test")
    report = audit(pool, test=test)
    assert report["leakage"][0]["exact"] == 1
    assert report["items"] == {"pool": {"2": "pool/b.png"}}
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]*)', audit_page(report, "images", pool, {"test": test}))
    assert len(pictures) == 2
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).getpixel((0, 0))[2] > 200


def test_no_text_can_break_the_page(hostile):
    x = rows_of(60)
    x[1] = x[0]
    names = [f"{hostile}{row}" for row in range(60)]
    report = audit(pool_of(x, names))
    report["classes"] = {"labeled": {hostile: 3}, "known": {hostile: 4}}
    report["findings"].append(hostile)
    page, checker = audit_page(report, hostile), Checker()
    checker.feed(page)
    assert checker.open == []
    assert page.count("<b>") == 1
    for text in (f"Audit of {hostile}", f"{hostile}0 {hostile}1", hostile):
        assert text in checker.text
