"""Samples from projects: the random items of a record, and the simple random sample that they make up."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

import distil
from distil.errors import InvalidInput
from distil.labeling.events import RANDOM, Event, Shown
from distil.labeling.samples import Answered, completed

N = 120


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """A project of 120 texts, and probabilities of two classes for them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(2, 0.3), N)
    truth = np.array([rng.choice(2, p=p) for p in probs])
    np.save("p.npy", probs)
    Path("p.ids.txt").write_text("".join(f"t{row}\n" for row in range(N)))
    Path("items.csv").write_text("id,text\n" + "".join(f"t{row},text {row}\n" for row in range(N)))
    with distil.Project.create("project", classes=["no", "yes"]) as project:
        project.add("items.csv")
        yield project, probs, truth


def answer(project, truth, rows, *, random):
    shown = Shown(reason=RANDOM if random else "uncertain")
    names = ["no", "yes"]
    project.record_all(
        [Event(kind="label", who="a", item=f"t{row}", label=names[truth[row]], shown=shown) for row in rows]
    )


def evaluated(**options):
    return distil.evaluate(probs="p.npy", labels="project", classes="no,yes", **options)


def test_exactly_the_random_items_after_those_that_were_chosen(pool):
    project, probs, truth = pool
    order = np.random.default_rng(1).permutation(N)
    answer(project, truth, order[:30], random=False)
    answer(project, truth, order[30:70], random=True)
    answer(project, truth, order[70:90], random=False)
    found = evaluated()
    right = probs[order[30:70]].argmax(1) == truth[order[30:70]]
    assert (found["labels"], found["items"]) == (40, N - 30)
    assert found["mean"] == right.mean()
    assert found["notes"] == ["40 random items of 90 with an answer in project are the sample"]
    done = distil.finish(probs="p.npy", labels="project", classes="no,yes", out="all.csv", error=0.3)
    assert (done["random"], done["human"] - done["to_people"]) == (40, 90)
    with pytest.raises(InvalidInput, match="a project draws its items itself"):
        evaluated(n=5, out="more.csv")


def test_items_that_people_skip_count_as_errors(pool):
    project, probs, truth = pool
    answer(project, truth, range(40), random=True)
    shown = Shown(reason=RANDOM)
    project.record_all([Event(kind="skip", who="a", item=f"t{row}", shown=shown) for row in range(40, 50)])
    found = evaluated()
    assert found["mean"] == (probs[:40].argmax(1) == truth[:40]).sum() / 50
    assert "10 items of it that people could not label count as errors" in found["notes"]
    with pytest.raises(InvalidInput, match="macro_f1 needs a label for every item"):
        evaluated(measure="macro_f1")


def test_a_project_without_random_items_or_answers(pool):
    project, _, truth = pool
    with pytest.raises(InvalidInput, match="no item has an answer yet"):
        evaluated()
    answer(project, truth, range(10), random=False)
    with pytest.raises(InvalidInput, match="none of its 10 answers is to an item drawn at random"):
        evaluated()
    Path("more.csv").write_text("id,label\nt50,no\n")
    answer(project, truth, [20], random=True)
    with pytest.raises(InvalidInput, match="does not say how its items were drawn; pass the project alone"):
        distil.evaluate(probs="p.npy", labels=["project", "more.csv"], classes="no,yes")


def test_a_sheet_of_a_project_is_refused(pool):
    project, _, _ = pool
    project.close()
    from distil.cli import main

    assert main(["next", "project", "--n", "5", "--out", "sheet.csv", "--who", "a"]) == 0
    with pytest.raises(InvalidInput, match="a sheet of `distil next`, most of whose items a strategy chose"):
        distil.evaluate(probs="p.npy", labels="sheet.csv", classes="no,yes")


def test_labels_that_differ_from_those_of_the_project(pool):
    project, _, truth = pool
    answer(project, truth, [3], random=True)
    Path("other.csv").write_text(f"id,label\nt3,{['yes', 'no'][truth[3]]}\n")
    with pytest.raises(InvalidInput, match="'t3' has the label"):
        distil.evaluate(probs="p.npy", labels=["project", "other.csv"], classes="no,yes")


def test_damaged_sheets(pool):
    distil.evaluate(probs="p.npy", n=3, out="a.csv")
    text = re.sub(r",$", ",no", Path("a.csv").read_text(), flags=re.MULTILINE)
    for right, wrong in (("uniform", "by hand"), (",1,uniform", ",1e999,uniform"), (",1,uniform", ",0,uniform")):
        Path("a.csv").write_text(text.replace(right, wrong))
        with pytest.raises(InvalidInput, match=r"a.csv, line 2: expected the number of a draw"):
            distil.evaluate(probs="p.npy", labels="a.csv", classes="no,yes")


def test_random_items_among_others_make_up_a_simple_random_sample():
    """6 items; a strategy takes the smallest open item between random draws. All pairs are equally frequent."""
    rng = np.random.default_rng(0)
    counts: Counter = Counter()
    for seed in range(6000):
        left, answered = list(range(6)), []
        for random in (True, False, False, True):
            item = left.pop(int(rng.integers(len(left))) if random else 0)
            answered.append(Answered(item, random, "x"))
        counts[frozenset(each.row for each in completed(answered, 6, seed))] += 1
    pairs = list(map(frozenset, combinations(range(6), 2)))
    assert set(counts) == set(pairs)
    assert chisquare([counts[pair] for pair in pairs]).pvalue > 1e-4
