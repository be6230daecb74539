"""``distil finish``: every item once, with its source; the bound against the truth; what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import distil
from distil.cli import main
from distil.errors import InvalidInput
from distil.labeling.events import Event

N = 1000
CLASSES = "cat,dog,owl"


def rows_of(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def write_labels(path, ids, truth, names=("cat", "dog", "owl")):
    lines = [f"i{row},{names[truth[row]]}" for row in ids]
    Path(path).write_text("\n".join(["id,label", *lines]) + "\n")


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Probabilities of a calibrated model in p.npy, and the true classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(3, 0.08), N)
    truth = np.array([rng.choice(3, p=p) for p in probs])
    np.save("p.npy", probs)
    Path("p.ids.txt").write_text("".join(f"i{row}\n" for row in range(N)))
    write_labels("random.csv", rng.permutation(N)[:200], truth)
    return probs, truth


def finished(**options):
    options = {"probs": "p.npy", "labels": "random.csv", "out": "out.csv", "classes": CLASSES, **options}
    return distil.finish(**options)


def test_every_item_once_with_its_source(pool):
    probs, truth = pool
    found = finished(rest="rest.csv")
    rows, sample = rows_of("out.csv"), {row["id"]: row["label"] for row in rows_of("random.csv")}
    assert [row["id"] for row in rows] == [f"i{row}" for row in range(N)]
    names, top = np.array(CLASSES.split(",")), probs.max(1)
    for place, row in enumerate(rows):
        if row["id"] in sample:
            assert (row["source"], row["label"]) == ("human", sample[row["id"]])
        elif row["source"] == "model":
            assert row["label"] == names[probs[place].argmax()]
            assert float(row["probability"]) == pytest.approx(top[place])
        else:
            assert (row["source"], row["label"], row["probability"]) == ("human", "", "")
    by_model = [place for place, row in enumerate(rows) if row["source"] == "model"]
    left = [place for place, row in enumerate(rows) if not row["label"]]
    assert top[by_model].min() >= top[left].max()
    assert found["threshold"] == pytest.approx(top[by_model].min())
    assert sorted(row["id"] for row in rows_of("rest.csv")) == sorted(f"i{place}" for place in left)
    assert (found["items"], found["model"], found["human"], found["to_people"]) == (
        N,
        len(by_model),
        N - len(by_model),
        len(left),
    )
    assert 400 < found["model"] < N - 200
    assert found["allowed"] == 50
    assert found["bound"] == (50 - found["wrong"]) / N
    wrong = sum(names[truth[place]] != rows[place]["label"] for place in by_model)
    assert wrong <= found["bound"] * N
    assert found["estimate"] == pytest.approx(found["wrong"] / 200 * 800 / N)
    assert "taken to be drawn at random" in found["notes"][0]


def test_the_threshold_is_where_the_sample_has_one_error_too_many(pool):
    """Exactly as many errors as the hypergeometric test allows, and the next wrong item of the sample is left to people."""
    probs, truth = pool
    found = finished()
    allowed = max(k for k in range(200) if stats.hypergeom.cdf(k, N, 51, 200) <= 0.05)
    assert found["wrong"] == allowed
    sample = [int(row["id"][1:]) for row in rows_of("random.csv")]
    wrong = sorted(-probs[row].max() for row in sample if probs[row].argmax() != truth[row])
    assert found["threshold"] >= -wrong[allowed]


def test_people_finish_the_rest(pool):
    _, truth = pool
    finished(rest="rest.csv")
    first = rows_of("out.csv")
    write_labels("answers.csv", [int(row["id"][1:]) for row in rows_of("rest.csv")], truth)
    found = finished(answers="answers.csv", out="all.csv", rest="none.csv")
    assert (found["to_people"], found["rest"]) == (0, None)
    assert not Path("none.csv").exists()
    rows = rows_of("all.csv")
    assert all(row["label"] for row in rows)
    assert [row["source"] for row in rows] == [row["source"] for row in first]
    names = CLASSES.split(",")
    wrong = sum(names[label] != row["label"] for label, row in zip(truth, rows, strict=True))
    assert wrong <= found["bound"] * N <= 50


def test_people_finish_the_rest_in_a_project(pool, capsys):
    _, truth = pool
    names = CLASSES.split(",")
    Path("items.csv").write_text("id,text\n" + "".join(f"i{row},text {row}\n" for row in range(N)))
    with distil.Project.create("project", classes=names) as project:
        project.add("items.csv")
        project.queue(["i3", "i5"])
    options = ["--probs", "p.npy", "--labels", "random.csv", "--classes", CLASSES]
    assert main(["finish", *options, "--out", "out.csv", "--project", "project"]) == 0
    rest = [row["id"] for row in rows_of("out.csv") if not row["label"]]
    said = f"{len(rest)} items left to people, first in the queue of project; once they are labeled, pass --answers project"
    assert capsys.readouterr().out.splitlines()[-1] == said
    with distil.Project.open("project") as project:
        assert project.queue_ids() == [*rest, *(item for item in ("i3", "i5") if item not in rest)]
        before = finished(out="before.csv", answers="project")  # no answer yet
        assert before["to_people"] == len(rest)
        project.record_all(
            [Event(kind="label", who="anna", item=item, label=names[truth[int(item[1:])]]) for item in rest]
        )
    done = finished(out="all.csv", answers="project")
    assert (done["to_people"], done["human"], done["model"]) == (0, 200 + len(rest), N - 200 - len(rest))
    assert {row["id"]: row["label"] for row in rows_of("all.csv") if row["id"] in set(rest)} == {
        item: names[truth[int(item[1:])]] for item in rest
    }


def test_a_project_without_the_items_gets_no_file(pool):
    Path("items.csv").write_text("id,text\na,text\n")
    with distil.Project.create("project", classes=["cat", "dog"]) as project:
        project.add("items.csv")
    with pytest.raises(InvalidInput, match="the project has no item 'i"):
        finished(project="project")
    assert not Path("out.csv").exists()


def test_labels_the_model_was_trained_on_stay_and_say_nothing(pool):
    _, truth = pool
    sample = [int(row["id"][1:]) for row in rows_of("random.csv")]
    before = [row for row in range(N) if row not in set(sample[20:])][:300]
    write_labels("before.csv", before, truth)
    found = finished(labeled="before.csv")
    assert found["random"] == 200 - len(set(before) & set(sample))
    sources = {row["id"]: row["source"] for row in rows_of("out.csv")}
    assert {sources[f"i{row}"] for row in before} == {"human"}
    limit, size = 50, N - len(before)
    assert found["wrong"] <= max(
        k for k in range(200) if stats.hypergeom.cdf(k, size, limit + 1, found["random"]) <= 0.05
    )


def test_a_sample_that_is_too_small_is_refused_with_the_number_that_is_needed(pool):
    _, truth = pool
    write_labels("few.csv", range(0, N, 25), truth)
    with pytest.raises(InvalidInput, match=r"40 random labels cannot show that at most 20 of 1,000 labels") as caught:
        finished(labels="few.csv", error=0.02)
    text = str(caught.value)
    needed = next(m for m in range(N) if stats.hypergeom.cdf(0, N, 21, m) <= 0.05)
    assert f"label {needed - 40} more items drawn at random ({needed} in all)" in text
    least = float(text.rpartition("error of ")[2].split()[0])
    finished(labels="few.csv", error=least, out="few-out.csv")
    with pytest.raises(InvalidInput):
        finished(labels="few.csv", error=least - 0.002, out="few-out.csv")


def test_samples_that_are_not_random_are_refused(pool):
    probs, truth = pool
    hard = np.argsort(probs.max(1))[:200]
    write_labels("hard.csv", hard, truth)
    with pytest.raises(InvalidInput, match="no random sample: the model is less sure of them"):
        finished(labels="hard.csv")
    write_labels("easy.csv", np.argsort(-probs.max(1))[:200], truth)
    with pytest.raises(InvalidInput, match="no random sample: the model is more sure of them"):
        finished(labels="easy.csv")
    distil.pick("margin_sampling", 100, probs="p.npy", out="picks.csv")
    with pytest.raises(InvalidInput, match="written by `distil select`, so a strategy chose its items"):
        finished(labels="picks.csv")
    distil.evaluate(probs="p.npy", n=100, sampling="active", out="active.csv")
    lines = rows_of("active.csv")
    Path("filled.csv").write_text(
        "id,draw,draws,sampling,probability,label\n"
        + "".join(f"{r['id']},{r['draw']},{r['draws']},{r['sampling']},{r['probability']},cat\n" for r in lines)
    )
    with pytest.raises(InvalidInput, match="drawn in another way, active"):
        finished(labels="filled.csv")


def test_items_without_a_label_are_refused(pool):
    text = Path("random.csv").read_text().splitlines()
    text[5] = f"{text[5].split(',')[0]},"
    Path("random.csv").write_text("\n".join(text) + "\n")
    with pytest.raises(InvalidInput, match=r"1 of the 200 items drawn have no label: 'i\d+'; label all of them"):
        finished()


def test_labels_of_a_model_are_no_labels_of_people(pool):
    finished()
    text = Path("out.csv").read_text().replace(",,human,", ",cat,human,")
    Path("filled.csv").write_text(text)
    for option in ("labels", "answers", "labeled", "second"):
        with pytest.raises(InvalidInput, match="was written by `distil finish`, and a model gave some"):
            finished(**{option: "filled.csv", "out": "again.csv"})


def test_answers_that_differ_from_the_sample(pool):
    name, label = rows_of("random.csv")[0].values()
    Path("answers.csv").write_text(f"id,label\n{name},{'cat' if label != 'cat' else 'dog'}\n")
    with pytest.raises(InvalidInput, match=f"'{name}' has the label '{label}' in labels and .* in answers"):
        finished(answers="answers.csv")


def test_a_second_labeler(pool):
    """It is right more often than the model where the model is unsure, and is asked there."""
    _, truth = pool
    rng = np.random.default_rng(4)
    answers = np.where(rng.random(N) < 0.02, (truth + 1) % 3, truth)
    write_labels("second.csv", range(N), answers)
    found = finished(second="second.csv", error=0.08)
    alone = finished(error=0.08, out="alone.csv")
    rows = rows_of("out.csv")
    assert found["second"] > 50
    assert found["to_people"] < alone["to_people"]
    assert found["to_second"] == 0
    names = CLASSES.split(",")
    for place, row in enumerate(rows):
        if row["source"] == "second":
            assert row["label"] == names[answers[place]]
    assert sum(row["label"] not in ("", names[label]) for row, label in zip(rows, truth, strict=True)) <= 80
    sample = [int(row["id"][1:]) for row in rows_of("random.csv")]
    write_labels("second.csv", sample, answers)
    again = finished(second="second.csv", error=0.08, out="again.csv")
    assert again["second"] == again["to_second"] == found["second"]
    write_labels("second.csv", sample[1:], answers)
    with pytest.raises(InvalidInput, match="1 of 200 answers are missing"):
        finished(second="second.csv")


def test_no_file_is_replaced(pool):
    Path("out.csv").write_text("mine\n")
    with pytest.raises(InvalidInput, match="exists already"):
        finished()
    assert Path("out.csv").read_text() == "mine\n"
    finished(force=True)
    finished()  # the same content
    with pytest.raises(InvalidInput, match="the file of labels too"):
        finished(out="random.csv", force=True)


def test_wrong_arguments(pool):
    for options, said in (
        ({"error": 0}, "error must be a number between 0 and 1"),
        ({"confidence": 1.0}, "confidence must be a number between 0 and 1"),
        ({"error": 5}, "got 5; write 5 % as 0.05"),
        ({"confidence": "0.9"}, "confidence must be a number between 0 and 1, got '0.9'"),
        ({"second_cost": -1}, "second_cost must be a number from 0 on"),
        ({"second_cost": float("inf")}, "second_cost must be a number from 0 on, got inf"),
        (
            {"rest": "out.csv", "force": True},
            "is the file of out too, which is never replaced; choose another name for rest",
        ),
        ({"classes": None}, "must be whole numbers, columns of the probabilities, got"),
        ({"classes": "cat,dog,cow"}, "'owl' is not one of the 3 classes"),
    ):
        with pytest.raises(InvalidInput, match=said):
            finished(**options)
