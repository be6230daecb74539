"""Cases of advice for ``test_advice.py``: samples with labels, and what is computed from them."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np

import distil
from distil.cli.next import next_
from distil.labeling.events import RANDOM, Event, Shown

N = 300
RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.full(3, 0.1), N)
TRUTH = np.array([RNG.choice(3, p=p) for p in PROBS])
SURE = np.argsort(-PROBS.max(1))
ORDER = RNG.permutation(N)


def evaluate(*labels, probs="c-certain.npy", **options):
    return distil.evaluate(probs=probs, labels=list(labels) or None, **options)


def finish(*labels, **options):
    return distil.finish(probs="c-certain.npy", labels=list(labels), **{"out": "c-done.csv", "force": True, **options})


def listing(path, rows, blank=(), names=None):
    labels = {row: "" if row in blank else (TRUTH[row] if names is None else names[TRUTH[row]]) for row in rows}
    Path(path).write_text("id,label\n" + "".join(f"{row},{label}\n" for row, label in labels.items()))


def fill(path):
    with Path(path).open(newline="") as file:
        rows = [{**row, "label": TRUTH[int(row["id"])]} for row in csv.DictReader(file)]
    with Path(path).open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def project(path, *answers):
    """A project whose items have answers: pairs of a row and whether it was drawn at random."""
    if not Path("c-certain.csv").exists():
        Path("c-certain.csv").write_text("id,text\n" + "".join(f"{row},item {row}\n" for row in range(N)))
    with distil.Project.create(path, classes=["0", "1", "2"]) as made:
        made.add("c-certain.csv")
        for row, random in answers:
            shown = Shown(reason=RANDOM if random else "uncertain")
            made.record_all([Event(kind="label", who="a", item=str(row), label=str(TRUTH[row]), shown=shown)])


def certainty_files():
    """Write the files of the cases into the current directory."""
    np.save("c-certain.npy", PROBS)
    np.save("c-other.npy", PROBS[:, ::-1] / 2 + 1 / 6)
    listing("c-random.csv", ORDER[:150])
    listing("c-few.csv", ORDER[:20])
    listing("c-blank.csv", ORDER[:20], ORDER)
    listing("c-gap.csv", ORDER[:150], [ORDER[7]])
    listing("c-hard.csv", SURE[-100:])
    listing("c-names.csv", ORDER[:150], names=["cat", "dog", "owl"])
    distil.pick("margin_sampling", 100, probs="c-certain.npy", out="c-margin.csv")
    for name, options in (("uniform", {}), ("active", {"sampling": "active"})):
        distil.evaluate(probs="c-certain.npy", n=150, out=f"c-{name}.csv", seed=3, **options)
        fill(f"c-{name}.csv")
    lines = Path("c-uniform.csv").read_text().splitlines()
    first = [line if place < 101 else line.rpartition(",")[0] + "," for place, line in enumerate(lines)]
    Path("c-begun.csv").write_text("\n".join(first) + "\n")
    Path("c-cut.csv").write_text("\n".join(lines[:20] + lines[25:]) + "\n")
    Path("c-plan.csv").write_text(
        "".join(f"{line.partition(',')[0]},{line.partition(',')[2].partition(',')[2]}\n" for line in lines)
    )
    distil.evaluate(probs="c-certain.npy", n=150, out="c-second.csv", seed=4)
    fill("c-second.csv")
    Path("c-damaged.csv").write_text(Path("c-uniform.csv").read_text().replace(",uniform,", ",evenly,", 1))
    np.save("c-half.npy", np.concatenate([PROBS, PROBS]))
    finish("c-random.csv", error=0.1, out="c-finished.csv", rest="c-rest.csv")
    fill("c-rest.csv")
    project("c-none")
    project("c-chosen", *((row, False) for row in ORDER[:9]))
    project("c-drawn", *((row, True) for row in ORDER[:60]))
    Path("c-against.csv").write_text(f"id,label\n{ORDER[0]},{(TRUTH[ORDER[0]] + 1) % 3}\n")
    next_("c-none", 3, out="c-handed.csv", who="a")


def skipped():
    """A project in which a random item was skipped."""
    if not Path("c-skipped").exists():
        project("c-skipped", *((row, True) for row in ORDER[:60]))
        with distil.Project.open("c-skipped") as opened:
            item, shown = str(ORDER[70]), Shown(reason=RANDOM)
            opened.record_all([Event(kind="skip", who="a", item=item, shown=shown)])
    return "c-skipped"


EVALUATE = ["evaluate", "--probs", "c-certain.npy", "--labels"]
FINISH = ["finish", "--probs", "c-certain.npy", "--labels", "c-random.csv", "--error", "0.1", "--out"]
# A note's advice; the command that works and gives it; what a person does then; the command that no longer gives it.
CERTAINTY_NOTES = [
    (
        "would break every promise made here, and so would a sheet of `distil evaluate` without its columns draw, draws",
        [*EVALUATE, "c-random.csv"],
        None,
        [*EVALUATE, "c-uniform.csv"],
    ),
    (
        "left to people (--rest, --project)",
        [*FINISH, "c-done2.csv"],
        None,
        [*FINISH, "c-done3.csv", "--rest", "c-rest3.csv"],
    ),
]

again = partial(evaluate, n=5, out="c-more.csv", force=True)

# Advice in a message; the call that gives it; the call that follows it.
CERTAINTY = [
    ("pass labels (--labels), or a number of items to draw (--n)", evaluate, again),
    ("pass both (--n, --out)", partial(evaluate, n=5), again),
    ("leave out n and out (--n, --out)", partial(again, "c-drawn"), partial(evaluate, "c-drawn")),
    ("write 95 % as 0.95", partial(evaluate, "c-drawn", confidence=95), partial(evaluate, "c-drawn", confidence=0.95)),
    ("use accuracy", lambda: evaluate(skipped(), measure="macro_f1"), lambda: evaluate(skipped())),
    (
        "go on with that, or begin a new sample without these labels",
        partial(again, "c-uniform.csv", sampling="active"),
        partial(again, "c-uniform.csv", sampling="uniform"),
    ),
    (
        "pass the same probs and labeled as when they were drawn",
        partial(evaluate, "c-active.csv", probs="c-other.npy"),
        partial(evaluate, "c-active.csv"),
    ),
    ("or allow an error of 0.", partial(finish, "c-few.csv", error=0.02), partial(finish, "c-few.csv", error=0.14)),
    ("evaluate --sampling uniform", partial(finish, "c-active.csv"), partial(finish, "c-uniform.csv", error=0.1)),
    (
        "draw a random sample",
        partial(finish, "c-hard.csv"),
        partial(finish, "c-random.csv", labeled="c-hard.csv", error=0.1),
    ),
    ("fill in the column label", partial(evaluate, "c-blank.csv"), partial(evaluate, "c-blank.csv", "c-random.csv")),
    ("label all items of the sheets, then draw more", partial(again, "c-begun.csv"), partial(again, "c-uniform.csv")),
    ("label all of them", partial(evaluate, "c-gap.csv"), partial(evaluate, "c-random.csv")),
    (
        "pass those of one way, and the others as labeled",
        partial(evaluate, "c-active.csv", "c-random.csv", "c-uniform.csv"),
        partial(evaluate, "c-random.csv", labeled="c-active.csv"),
    ),
    ("and pass the project", partial(evaluate, "c-handed.csv"), partial(evaluate, "c-drawn")),
    ("pass it as labeled", partial(finish, "c-margin.csv"), partial(evaluate, "c-random.csv", labeled="c-few.csv")),
    ("as `distil evaluate` wrote them", partial(evaluate, "c-damaged.csv"), partial(evaluate, "c-uniform.csv")),
    ("label items that `distil next` draws at random", partial(evaluate, "c-none"), partial(evaluate, "c-drawn")),
    ("draw some with `distil next", partial(evaluate, "c-chosen"), partial(evaluate, "c-drawn")),
    (
        "for names, pass the classes",
        partial(evaluate, "c-names.csv"),
        partial(evaluate, "c-names.csv", classes="cat,dog,owl"),
    ),
    ("keep one of them", partial(evaluate, "c-drawn", "c-against.csv"), partial(evaluate, "c-drawn")),
    (
        "pass the project alone",
        partial(evaluate, "c-drawn", "c-few.csv"),
        partial(evaluate, "c-drawn", "c-uniform.csv"),
    ),
    (
        "sampling is for items to draw; pass n and out too (--n, --out), or leave sampling out",
        partial(evaluate, "c-random.csv", sampling="uniform"),
        lambda: (again("c-uniform.csv", sampling="uniform"), evaluate("c-random.csv")),
    ),
    (
        "which leaves no sample; label other items",
        partial(evaluate, "c-few.csv", labeled="c-few.csv"),
        partial(evaluate, "c-random.csv", labeled="c-few.csv"),
    ),
    (
        "pass one sample, which goes on with --labels and --n",
        partial(evaluate, "c-uniform.csv", "c-second.csv"),
        lambda: (evaluate("c-uniform.csv"), again("c-uniform.csv")),
    ),
    (
        "pass all sheets of the sample, with all of their rows",
        partial(evaluate, "c-cut.csv"),
        partial(evaluate, "c-uniform.csv"),
    ),
    (
        "put back what is missing, because the columns draw, draws, sampling, probability say how its items were drawn",
        partial(evaluate, "c-plan.csv"),
        partial(evaluate, "c-uniform.csv"),
    ),
    (
        "pass the probabilities of the same items, and the same labeled, as when they were drawn, or draw a new sample",
        partial(evaluate, "c-uniform.csv", probs="c-half.npy"),
        lambda: (evaluate("c-uniform.csv"), again(probs="c-half.npy")),
    ),
    (
        "pass files with labels that people gave, such as the sheet that --rest writes",
        partial(evaluate, "c-finished.csv"),
        partial(finish, "c-random.csv", answers="c-rest.csv", error=0.1),
    ),
]
