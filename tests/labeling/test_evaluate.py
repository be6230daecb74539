"""``distil evaluate``: estimates against the truth and by hand, sheets that go on, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

import distil
from distil.errors import DistilWarning, InvalidInput
from distil.functional.bounds import binomial_bounds, finite_bounds
from distil.functional.estimates import active_chances
from distil.labeling.events import Event

N = 400


def rows_of(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Probabilities of a model in p.npy, and the true classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(3, 0.2), N)
    truth = np.array([rng.choice(3, p=p) for p in probs])
    np.save("p.npy", probs)
    return probs, truth


def drawn(out, **options):
    return distil.evaluate(probs="p.npy", out=out, **options)


def estimate(*labels, **options):
    return distil.evaluate(probs="p.npy", labels=list(labels), **options)


def write(path, rows):
    with Path(path).open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def fill(path, values):
    """Fill in the labels of a sheet, in its place."""
    rows = rows_of(path)
    for row in rows:
        row["label"] = row["label"] or values[int(row["id"])]
    write(path, rows)
    return rows


def test_uniform_draws_that_go_on(pool):
    probs, truth = pool
    right = probs.argmax(1) == truth
    first = drawn("a.csv", n=50)
    assert (first["mean"], first["labels"], first["items"], len(first["next"])) == (None, 0, N, 50)
    fill("a.csv", truth)
    second = drawn("b.csv", labels="a.csv", n=70)
    ids = [int(row["id"]) for row in (*rows_of("a.csv"), *rows_of("b.csv"))]
    assert len({*ids}) == 120
    assert second["mean"] == right[ids[:50]].mean()
    fill("b.csv", truth)
    found = estimate("b.csv", "a.csv")
    count = int(right[ids].sum())
    assert (found["mean"], found["low"], found["high"]) == (count / 120, *finite_bounds(count, 120, N))
    assert estimate("a.csv", "b.csv", confidence=0.8)["low"] == finite_bounds(count, 120, N, 0.8).low
    assert drawn("again.csv", n=50)["next"] == first["next"]
    assert drawn("other.csv", n=50, seed=1)["next"] != first["next"]


def test_the_first_part_of_a_random_order_serves(pool):
    probs, truth = pool
    drawn("a.csv", n=50)
    rows = fill("a.csv", truth)
    by_sureness = sorted(rows, key=lambda row: -probs[int(row["id"])].max())  # a person sorts the sheet
    half = [{**row, "label": row["label"] if int(row["draw"]) <= 30 else ""} for row in by_sureness]
    Path("half.csv").write_text("\n".join([",".join(half[0]), *(",".join(map(str, r.values())) for r in half)]))
    ids = [int(row["id"]) for row in rows if int(row["draw"]) <= 30]
    found = estimate("half.csv")
    assert found["labels"] == 30
    assert found["mean"] == (probs[ids].argmax(1) == truth[ids]).mean()
    assert "30 of 50 items drawn have a label" in found["notes"][0]
    with pytest.raises(InvalidInput, match=r"20 items drawn before have no label yet"):
        drawn("more.csv", labels="half.csv", n=5)
    half[0]["label"] = "" if half[0]["label"] else "1"
    half[1]["label"] = half[1]["label"] or "1"
    gaps = [{**row, "label": "" if int(row["draw"]) == 3 else row["label"]} for row in half]
    Path("gaps.csv").write_text("\n".join([",".join(half[0]), *(",".join(map(str, r.values())) for r in gaps)]))
    with pytest.raises(InvalidInput, match=r"items drawn have no label"):
        estimate("gaps.csv")


def test_sheets_keep_all_of_their_draws(pool):
    probs, truth = pool
    for sampling in ("uniform", "stratified", "active"):
        name = f"{sampling}.csv"
        drawn(name, n=60, sampling=sampling)
        rows = fill(name, truth)
        write("copy.csv", [{**row, "probability": f"{float(row['probability']):.9f}"} for row in rows])
        assert estimate(name, "copy.csv") == estimate(name)  # by two people
        easy = [row for row in rows if probs[int(row["id"])].max() > 0.6 or row is rows[-1]]
        write("easy.csv", easy)
        with pytest.raises(InvalidInput, match=r"of the first \d+ draws are missing from the sheets"):
            estimate("easy.csv")
        write("cut.csv", [{key: cell for key, cell in row.items() if key != "probability"} for row in rows])
        with pytest.raises(InvalidInput, match="a sheet of `distil evaluate` without probability; put back"):
            estimate("cut.csv")
        for kept in ({"sampling"}, {"draw", "draws"}, {"draw", "probability"}):
            write("cut.csv", [{key: row[key] for key in row if key in {"id", "label", *kept}} for row in rows])
            with pytest.raises(InvalidInput, match=r"a sheet of `distil evaluate` without .*, .*; put back"):
                estimate("cut.csv")
        write("bare.csv", [{"id": row["id"], "label": row["label"], "draws": "two pencils"} for row in rows[:30]])
        assert "does not say how its" in estimate("bare.csv")["notes"][0]  # a column of that name may be the user's
        drawn("other.csv", n=60, sampling=sampling, seed=5, force=True)
        fill("other.csv", truth)
        with pytest.raises(InvalidInput, match="the sheets hold two samples: draw 1 is"):
            estimate(name, "other.csv")


def test_sheets_of_another_pool(pool):
    probs, truth = pool
    for sampling in ("uniform", "stratified"):
        drawn(f"{sampling}.csv", n=60, sampling=sampling)
        rows = fill(f"{sampling}.csv", truth)
        np.save("p.npy", np.concatenate([probs, np.full((1, 3), 1 / 3)]))
        with pytest.raises(InvalidInput, match="drawn from 400 items, and there are 401 now"):
            estimate(f"{sampling}.csv")
        np.save("p.npy", probs)
        taken = {row["id"] for row in rows}
        since = [{"id": row, "label": truth[row]} for row in np.argsort(probs.max(1))[:100] if str(row) not in taken]
        write("since.csv", since)
        with pytest.raises(InvalidInput, match=f"drawn from 400 items, and there are {N - len(since)} now"):
            estimate(f"{sampling}.csv", labeled="since.csv")


def test_stratified_sheets_are_in_random_order(pool):
    probs, _ = pool
    top = probs.max(1)
    ids = [int(entry["id"]) for entry in drawn("a.csv", n=100, sampling="stratified")["next"]]
    assert abs(top[ids[:50]].mean() - top[ids[50:]].mean()) < 0.1


def test_few_labels_in_a_large_list_are_compared_fast(pool, monkeypatch):
    from scipy import stats

    methods = []
    real = stats.mannwhitneyu
    monkeypatch.setattr(stats, "mannwhitneyu", lambda *a, **k: methods.append(k["method"]) or real(*a, **k))
    write("few.csv", [{"id": row, "label": pool[1][row]} for row in (3, 90, 200)])
    assert estimate("few.csv")["labels"] == 3
    assert methods == ["asymptotic"]


def test_labels_that_disagree_or_leave_no_sample(pool):
    _, truth = pool
    write("list.csv", [{"id": row, "label": truth[row]} for row in range(0, N, 4)])
    write("before.csv", [{"id": 4, "label": (truth[4] + 1) % 3}])
    with pytest.raises(InvalidInput, match=r"'4' has the label '\d' in labeled and '\d' in labels; keep one of them"):
        estimate("list.csv", labeled="before.csv")
    with pytest.raises(InvalidInput, match="all of its items are in labeled too"):
        estimate("list.csv", labeled="list.csv")


def test_stratified_draws(pool):
    probs, truth = pool
    drawn("a.csv", n=37, sampling="stratified")
    rows = fill("a.csv", truth)
    right = np.repeat([int(row["id"]) for row in rows], [int(row["draws"]) for row in rows])
    values = probs[right].argmax(1) == truth[right]
    found = estimate("a.csv")
    assert len(values) == found["draws"] == 37
    assert (found["mean"], found["low"], found["high"]) == (
        values.mean(),
        *binomial_bounds(int(values.sum()), 37),
    )
    parts = np.sort(np.argsort(np.argsort(1 - probs.max(1)))[right] * 37 // N)
    assert np.abs(parts - np.arange(37)).max() <= 1


def test_active_draws_go_on_and_are_weighted(pool):
    probs, truth = pool
    top = probs.max(1)
    drawn("a.csv", n=200, sampling="active")
    fill("a.csv", truth)
    drawn("b.csv", labels="a.csv", n=100)
    known = {row["id"]: row["label"] for row in rows_of("a.csv")}
    again = [row for row in rows_of("b.csv") if row["id"] in known]
    assert again
    assert all(row["label"] == known[row["id"]] for row in again)
    assert rows_of("b.csv")[0]["draw"] == "201"
    fill("b.csv", truth)
    found = estimate("a.csv", "b.csv")
    chances = active_chances(np.sqrt(top * (1 - top)))
    sheets = [(row, chances[int(row["id"])]) for row in (*rows_of("a.csv"), *rows_of("b.csv"))]
    assert all(float(row["probability"]) == pytest.approx(chance) for row, chance in sheets)
    ids = np.repeat([int(row["id"]) for row, _ in sheets], [int(row["draws"]) for row, _ in sheets])
    right = probs.argmax(1) == truth
    terms = top.mean() + (right[ids] - top[ids]) / (N * chances[ids])
    assert found["draws"] == len(ids) == 300
    assert found["labels"] == len({*ids.tolist()})
    assert found["mean"] == pytest.approx(terms.mean())
    assert found["low"] < right.mean() < found["high"]
    np.save("p.npy", probs[:, ::-1] * 0.5 + 1 / 6)
    with pytest.raises(InvalidInput, match=r"the probabilities of its draws are not those of this pool and model"):
        estimate("a.csv")


def test_macro_f1_and_losses(pool):
    probs, truth = pool
    drawn("a.csv", n=N)
    fill("a.csv", truth)
    found = estimate("a.csv", measure="macro_f1")
    whole = f1_score(truth, probs.argmax(1), average="macro")
    assert [found["mean"], found["low"], found["high"]] == pytest.approx([whole] * 3)
    held = 0
    for seed in range(5):
        name = f"{seed}.csv"
        drawn(name, n=150, seed=seed)
        fill(name, truth)
        part = estimate(name, measure="macro_f1")
        held += part["low"] <= whole <= part["high"]
        ids = [int(row["id"]) for row in rows_of(name)]
        share = np.bincount(probs.argmax(1), minlength=3) / N
        hits = [np.mean((truth[ids] == c) & (probs[ids].argmax(1) == c)) for c in range(3)]
        misses = [np.mean((truth[ids] == c) & (probs[ids].argmax(1) != c)) for c in range(3)]
        assert part["mean"] == pytest.approx(
            np.mean([2 * h / (s + h + m) for h, s, m in zip(hits, share, misses, strict=True)])
        )
    assert held == 5
    losses = np.round(np.random.default_rng(1).random(N), 3)
    drawn("loss.csv", n=80)
    fill("loss.csv", losses)
    found = estimate("loss.csv", measure="loss")
    assert found["mean"] == pytest.approx(losses[[int(row["id"]) for row in rows_of("loss.csv")]].mean())
    assert found["low"] < losses.mean() < found["high"]
    Path("loss.csv").write_text("id,label\n1,0.5\n2,1.5\n")
    with pytest.raises(InvalidInput, match=r"a loss must be a number from 0 to 1, got '1\.5'"):
        estimate("loss.csv", measure="loss")


def test_labels_from_another_file_and_items_that_the_model_knows(pool):
    probs, truth = pool
    Path("before.csv").write_text("id,label\n" + "".join(f"{row},{truth[row]}\n" for row in range(100)))
    drawn("a.csv", n=60, labeled="before.csv")
    ids = [int(row["id"]) for row in rows_of("a.csv")]
    assert min(ids) >= 100
    Path("known.csv").write_text("id,label\n" + "".join(f"{row},{truth[row]}\n" for row in range(N)))
    found = estimate("a.csv", "known.csv", labeled="before.csv")
    right = int((probs[ids].argmax(1) == truth[ids]).sum())
    assert (found["low"], found["high"], found["items"]) == (*finite_bounds(right, 60, 300), 300)
    with pytest.raises(InvalidInput, match="is in the sample and in labeled"):
        estimate("a.csv", "known.csv", labeled="known.csv")


def test_weights_that_spread_are_warned_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    probs = np.tile([1.0, 0.0], (5000, 1))
    probs[7] = 0.5
    np.save("p.npy", probs)
    with pytest.warns(DistilWarning, match=r"weights of active draws spread by a factor of 2,144"):
        drawn("a.csv", n=20, sampling="active")


def test_the_next_items_go_to_a_project(pool):
    _, truth = pool
    Path("items.csv").write_text("id,text\n" + "".join(f"{row},text {row}\n" for row in range(N)))
    with distil.Project.create("project", classes=["0", "1", "2"]) as project:
        project.add("items.csv")
        project.queue(["5", "6"])
    found = drawn("a.csv", n=12, project="project")
    with distil.Project.open("project") as project:
        drawn_ids = [entry["id"] for entry in found["next"]]
        assert project.queue_ids() == [*drawn_ids, *(item for item in ("5", "6") if item not in drawn_ids)]
        for entry in found["next"]:
            project.record_all([Event(kind="label", who="anna", item=entry["id"], label=str(truth[int(entry["id"])]))])
    assert estimate("project", "a.csv")["labels"] == 12


def test_wrong_arguments(pool):
    drawn("a.csv", n=20)
    fill("a.csv", pool[1])
    Path("bare.txt").write_text("1\n2\n")
    for options, said in (
        ({}, "there is nothing to do: pass labels"),
        ({"n": 5}, "n and out belong together"),
        ({"labels": "a.csv", "measure": "acuracy"}, "did you mean 'accuracy'"),
        ({"n": 5, "out": "b.csv", "sampling": "random"}, "sampling must be one of uniform, stratified, active"),
        ({"labels": "a.csv", "n": 5, "out": "b.csv", "sampling": "active"}, "drawn in another way, uniform"),
        ({"n": N + 1, "out": "b.csv"}, "n must be between 1 and 400"),
        ({"labels": "a.csv", "confidence": 95}, "confidence must be a number between 0 and 1, got 95"),
        ({"labels": "bare.txt"}, "bare.txt has no labels"),
        ({"labels": "a.csv", "sampling": "uniform"}, "sampling is for items to draw; pass n and out too"),
        ({"labels": "a.csv", "project": "p"}, "project is for items to draw; pass n and out too"),
        ({"n": 5, "out": "a.csv"}, "exists already"),
    ):
        with pytest.raises(InvalidInput, match=said):
            distil.evaluate(probs="p.npy", **options)
