"""Labels that were made wrong on purpose, in real data, and what an audit finds of them."""

import csv

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from distil.auditing.audit import audit
from distil.auditing.label_errors import suspected_labels
from distil.auditing.page import audit_page
from distil.data.ids import ListedIds
from distil.data.pools import open_pool
from distil.datasets.load import load
from distil.labeling.features import principal_components, word_features


def flipped(y, n=75, seed=0):
    """The labels with ``n`` of them changed to another class, and which."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(len(y), n, replace=False)
    labels, classes = np.array(y), int(max(y)) + 1
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, n)) % classes
    return labels, set(wrong.tolist())


def found_in(x, y, **options):
    labels, wrong = flipped(y)
    names = [f"n{row:04}" for row in range(len(y))]
    report = audit(
        open_pool(np.asarray(x), ids=names),
        labels=ListedIds(tuple(names), tuple(map(str, labels)), "labels.csv"),
        **options,
    )
    return report, [int(each["id"][1:]) for each in report["label_errors"]["suspects"]], wrong


def test_most_of_75_flipped_labels_of_1500_digits_are_found():
    digits = load_digits()
    report, rows, wrong = found_in(digits.data[:1500].astype(np.float32), digits.target[:1500])
    errors = report["label_errors"]
    assert len(wrong & {*rows}) >= 60
    assert len(rows) <= 100
    assert {*rows[:20]} <= wrong, "worst first"
    assert (errors["set"], errors["looked_at"]) == ("pool", 1500)
    assert 0.85 < errors["agreement"] < 0.95
    assert 50 <= errors["errors"] <= 100
    guesses = {int(each["id"][1:]): int(each["guess"]) for each in errors["suspects"]}
    assert np.mean([guesses[row] == digits.target[row] for row in wrong & {*rows}]) > 0.9
    assert f"{len(rows):,} of 1,500 examined labels are suspect" in " ".join(report["findings"])
    page = audit_page(report, "digits")
    assert "Labels that are probably wrong" in page
    table = page.split("<h2>Labels that are probably wrong</h2>")[1].split("</table>")[0]
    assert table.count("<tr>") == 1 + 20


@pytest.mark.slow
def test_most_flipped_labels_of_mnist_and_ag_news_are_found(data_root_real):
    mnist = load("mnist", data_root_real)
    x = principal_components(torch.as_tensor(mnist.x_train[:1500]).float().flatten(1) / 255)
    with open(data_root_real / "text/ag_news/test.csv", newline="", encoding="utf-8") as file:
        news = [row for row in csv.reader(file) if row[0].isdigit()][:1500]
    texts = word_features([" ".join(row[1:]) for row in news])
    for rows, y in ((x, np.asarray(mnist.y_train[:1500])), (texts, np.array([int(row[0]) - 1 for row in news]))):
        _, suspects, wrong = found_in(rows, y)
        assert len(wrong & {*suspects}) >= 56, "three quarters"
        assert len(suspects) <= 220, "the model alone is wrong on one text in six"


def test_the_labeled_set_alone_is_judged():
    digits = load_digits()
    labels, wrong = flipped(digits.target[:300], 10)
    names = [f"n{row}" for row in range(500)]
    listed = ListedIds(tuple(names[:300]), tuple(map(str, labels)), "labeled.csv")
    report = audit(open_pool(digits.data[:500].astype(np.float32), ids=names), labeled=listed)
    errors = report["label_errors"]
    assert (errors["set"], errors["looked_at"]) == ("labeled", 300)
    assert len(wrong & {int(each["id"][1:]) for each in errors["suspects"]}) >= 7
    few = audit(open_pool(digits.data[:500].astype(np.float32), ids=names), labeled=listed, rows=100)
    assert few["label_errors"]["looked_at"] == 100


def test_of_many_classes_and_dimensions_fewer_numbers_are_read_and_fewer_labels_judged(monkeypatch):
    digits = load_digits()
    x, y = digits.data[:600].astype(np.float32), digits.target[:600]
    monkeypatch.setattr("distil.auditing.label_errors._DIMS", 20)
    monkeypatch.setattr("distil.auditing.label_errors._MOST_WORK", 600 * 10 * 20)
    report, rows, wrong = found_in(x, y)
    assert report["label_errors"]["looked_at"] == 600
    assert len(wrong & {*rows}) >= 50, "with 20 principal components"
    monkeypatch.setattr("distil.auditing.label_errors._MOST_WORK", 150 * 10 * 20)
    assert found_in(x, y)[0]["label_errors"]["looked_at"] == 150


def test_without_labels_or_embeddings_there_is_nothing_to_judge():
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    names = [f"n{row}" for row in range(20)]
    assert audit(open_pool(x, ids=names))["label_errors"] is None
    for labels in (["a"] * 20, ["a"] * 19 + ["b"], list("abcdefghijklmnopqrst")):
        assert suspected_labels(names, torch.from_numpy(x), labels, 0) is None
    texts = open_pool([f"text {n}" for n in range(20)], ids=names)
    assert audit(texts, labeled=ListedIds(tuple(names), tuple("ab" * 10), "l.csv"))["label_errors"] is None


def test_names_of_classes_are_text_on_the_page():
    digits = load_digits()
    y = ["<b>zero</b>" if d == 0 else str(d) for d in digits.target[:300]]
    y[0] = "1"
    names = [str(n) for n in range(300)]
    report = audit(
        open_pool(digits.data[:300].astype(np.float32), ids=names), labels=ListedIds(tuple(names), tuple(y), "l.csv")
    )
    assert report["label_errors"]["suspects"][0]["guess"] == "<b>zero</b>"
    assert "<b>zero" not in audit_page(report, "digits")
    assert "&lt;b&gt;zero" in audit_page(report, "digits")


def test_the_same_seed_gives_the_same_suspects():
    digits = load_digits()
    x, (labels, _) = torch.from_numpy(digits.data[:200]), flipped(digits.target[:200], 10)
    names, given = [str(n) for n in range(200)], list(map(str, labels))
    found = [suspected_labels(names, x, given, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
