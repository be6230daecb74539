"""Jobs from beginning to end, as users do them: by commands, or by a script in Python."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import distil
from distil.cli import main
from distil.signals import Embedding, MCProbs, measured_by
from distil.strategies import STRATEGIES, strategy_named
from distil.strategies.base import ROLES
from distil.strategies.registry import tasks_of
from distil.system.imports import import_torchvision

TOPICS = {"billing": ("invoice", "refund"), "delivery": ("parcel", "courier"), "login": ("password", "account")}
ENCODERS = """
import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

def words(texts):
    return HashingVectorizer(n_features=64, norm="l2").transform(texts).toarray()

def levels(images):
    return [[np.asarray(image, np.float64).mean()] for image in images]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current directory with the encoders ``own:words`` and ``own:levels``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("own.py").write_text(ENCODERS)
    yield tmp_path
    sys.modules.pop("own", None)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def topic(row):
    return list(TOPICS)[row % 3]


def text_of(row):
    return f"My {TOPICS[topic(row)][row % 2]} no. {row // 6}; please help with the {TOPICS[topic(row)][row // 2 % 2]}"


def test_from_a_table_of_texts_to_a_report_with_20_labels(here, capsys):
    """A table as a spreadsheet saves it: with the index of pandas, a column of dates, and empty rows below."""
    rows = [[1000 + row, text_of(row), f"2024-05-{row % 28 + 1:02}"] for row in range(90)]
    with open("tickets.csv", "w", newline="") as file:
        csv.writer(file).writerows([["", "body", "received"], *rows, ["", "", ""], ["", "", ""]])
    assert main(["embed", "tickets.csv", "--model", "own:words", "--out", "tickets.npy"]) == 0
    assert "left out 2 empty rows of tickets.csv" in capsys.readouterr().err
    pool = ["--embeddings", "tickets.npy"]
    assert main(["select", *pool, "--strategy", "typiclust", "--n", "20", "--out", "sheet.csv"]) == 0
    sheet = read("sheet.csv")
    assert {row["label"] for row in sheet} == {""}
    answers = {row["id"]: topic(int(row["id"]) - 1000) for row in sheet}
    assert len(answers) == 20
    with open("sheet.csv", "w", newline="") as file:  # with semicolons, and an empty row below
        table = [
            ["rank", "id", "label"],
            *([row["rank"], row["id"], answers[row["id"]]] for row in sheet),
            ["", "", ""],
        ]
        csv.writer(file, delimiter=";").writerows(table)

    audit = ["audit", "tickets.csv", *pool, "--labeled", "sheet.csv", "--out"]
    assert main([*audit, "report.html"]) == main([*audit, "report.json"]) == 0
    assert all(name in Path("report.html").read_text() for name in TOPICS)
    report = json.loads(Path("report.json").read_text())
    assert report["classes"]["labeled"] == Counter(answers.values())
    assert report["pool"]["items"] == 90
    copies = Counter(text_of(row) for row in range(90))
    assert report["duplicates"]["exact"]["items"] == sum(count - 1 for count in copies.values())

    more = [
        "select",
        *pool,
        "--labeled",
        "sheet.csv",
        "--strategy",
        "margin_sampling",
        "--n",
        "70",
        "--out",
        "next.csv",
    ]
    assert main(more) == 0  # by the probabilities of a head that is trained on the labels
    assert {row["id"] for row in read("next.csv")} == {str(1000 + row) for row in range(90)} - answers.keys()


def test_a_folder_of_images_of_16_bits(here, capsys):
    """Scans of evenly spaced levels, of which the darkest is labeled: the farthest first, by hand."""
    rng = np.random.default_rng(0)
    order = rng.permutation(16)
    for row, level in enumerate(order):
        scan = np.full((6, 6), 4000 * level + 1000, np.uint16)
        Path("scans").mkdir(exist_ok=True)
        Image.fromarray(scan).save(f"scans/{row:02}.{'png' if row % 2 else 'tif'}")
        if level == 0:
            Path("known/dark").mkdir(parents=True)
            Image.fromarray(scan).save(f"known/dark/{row:02}.{'png' if row % 2 else 'tif'}")
    pool = ["--pool", "scans", "--model", "own:levels"]
    assert main(["embed", "scans", "--model", "own:levels", "--out", "scans.npy"]) == 0
    assert "scaled gray values of images from 0..65535 to 0..255" in capsys.readouterr().err
    expected = np.round((4000.0 * order + 1000) / 65535 * 255)
    np.testing.assert_allclose(np.load("scans.npy")[:, 0], expected, atol=1)
    by_table = [f"{path.name},{path.parent.name}" for path in Path("known").rglob("*.*")]
    Path("known.csv").write_text("\n".join(["id,label", *by_table]))
    assert (
        main(["select", *pool, "--labeled", "known.csv", "--strategy", "core_set", "--n", "2", "--out", "p.csv"]) == 0
    )
    levels = [order[int(Path(row["id"]).stem)] for row in read("p.csv")]
    assert levels[0] == 15
    assert levels[1] in (7, 8)


@pytest.mark.slow
def test_a_classifier_of_hugging_face_in_a_learner_with_its_collator(here, seeded):
    """Texts of different lengths through tokenizer and collator: a cold start, labels, training, and a query by the new model."""
    if find_spec("torchvision") is not None:
        import_torchvision()
    transformers = pytest.importorskip("transformers")
    texts = [f"{'please ' * (row % 4)}{text_of(row)}".lower() for row in range(60)]
    words = sorted({word for text in texts for word in text.replace(".", " .").replace(";", " ;").split()})
    Path("vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    tokenizer = transformers.BertTokenizerFast("vocab.txt")
    items = [{**tokenizer(text), "labels": list(TOPICS).index(topic(row))} for row, text in enumerate(texts)]
    collator = transformers.DataCollatorWithPadding(tokenizer)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(
        **small, vocab_size=len(tokenizer), num_labels=3, hidden_dropout_prob=0, attention_probs_dropout_prob=0
    )

    def build():
        return seeded(transformers.BertForSequenceClassification, config)

    start = distil.wrap(build().bert, embedding="mean")
    first = distil.select("typiclust", start, items, 12, collate=collator)
    learner = distil.Learner(
        items,
        build,
        "margin_sampling",
        classes=list(TOPICS),
        collate=collator,
        fit=distil.FitConfig(n_epoch=30, optimizer="adamw", lr=1e-2, window_size=None),
        rng=0,
    )
    learner.label(first, [topic(row) for row in first])
    losses = learner.fit().losses
    assert losses[-1] < 0.8 * losses[0]
    model = learner.module.eval()
    with torch.no_grad():
        probs = model(**collator([{k: v for k, v in item.items() if k != "labels"} for item in items])).logits.softmax(
            1
        )
    top = probs.topk(2).values
    left = [row for row in range(60) if row not in first.tolist()]
    expected = sorted(left, key=lambda row: float(top[row, 0] - top[row, 1]))
    found = learner.query(5)
    torch.testing.assert_close(-(top[:, 0] - top[:, 1])[found.ids], found.scores, atol=1e-5, rtol=1e-4)
    assert set(found) <= set(expected[:8])  # almost equal margins may change places


@pytest.mark.slow
def test_every_strategy_that_reads_embeddings_selects_by_counts_of_words(case):
    """The pipeline on texts, and its classifier on the counts as numbers: the same picks."""
    texts = [text_of(row) for row in range(60)]
    labels = {row: topic(row) for row in range(9)}
    pipeline = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts[:9], list(labels.values()))
    counts = pipeline[0].transform(texts).toarray().astype(np.float64)
    sets = {"validation": {row: topic(row) for row in range(9, 15)}, "query": [20, 21], "private": [30]}
    tried = []
    for name in STRATEGIES:
        strategy = strategy_named(name)
        signals = {signal for role in ROLES for signal in measured_by(getattr(strategy.needs, role))}
        samples = any(
            isinstance(signal, MCProbs) or signal.grad for signal in signals
        )  # scikit-learn has none of these
        if "classification" not in tasks_of(strategy) or samples or not any(isinstance(s, Embedding) for s in signals):
            continue
        tried.append(name)
        given = {"labeled": labels, **{role: ids for role, ids in sets.items() if getattr(strategy.needs, role)}}
        with case(name):
            found = distil.select(strategy, pipeline, texts, 6, **given, rng=0)
            assert len({*found}) == 6
            assert not {*found} & {*labels}
            assert found.tolist() == distil.select(strategy, pipeline[-1], counts, 6, **given, rng=0).tolist()
    assert {"badge", "bait", "core_set", "fass", "glister", "typiclust", "probcover", "gradmatch", "smi"} <= {*tried}
