"""The model of a project: what it is fitted to, what it says and what it hands out."""

import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from distil.errors import RunError
from distil.labeling.events import Event, Shown
from distil.labeling.features import item_features
from distil.labeling.fitting import Fit, chosen_by_model, snapshot_of
from distil.labeling.handing_out import hand_out
from distil.labeling.map import PoolMap
from distil.labeling.model import CACHE, FILE, Snapshot
from distil.labeling.project import Project
from distil.labeling.server.desk import Desk
from distil.labeling.worker import NICE, Worker, main, say
from distil.rng import Rng

DIGITS = load_digits()
DIGIT = [str(d) for d in DIGITS.target]


@pytest.fixture
def project(tmp_path):
    np.save(tmp_path / "digits.npy", (DIGITS.data[:300] / 16).astype(np.float32))
    with Project.create(tmp_path / "p", classes=[str(d) for d in range(10)]) as project:
        project.add(tmp_path / "digits.npy")
        yield project


def label(project, items, who="anna", **more):
    project.record_all([Event(kind="label", who=who, item=i, label=DIGIT[int(i)], **more) for i in items])


def test_a_snapshot_says_what_the_project_knows(project):
    features = item_features(project.items(), project.path / CACHE)
    cold = snapshot_of(project, features, 1, n=15, share=0)
    assert (cold.n_labels, len(set(cold.order.tolist())), cold.guess(0)) == (0, 15, None)
    label(project, map(str, cold.order))
    project.record_all([Event(kind="skip", who="anna", item="299"), Event(kind="unsure", who="anna", item="298")])
    warm = snapshot_of(project, features, 2, n=30)
    assert warm.n_labels == 15
    assert not set(warm.order.tolist()) & {*cold.order.tolist(), 298, 299}
    right = np.mean([warm.guess(i)[0] == DIGIT[i] for i in range(300)])
    assert right > 0.6
    assert 0.1 < warm.guess(3)[1] <= 1
    assert warm.guess(300) is None
    assert snapshot_of(project, features, 2, n=30).order.tolist() == warm.order.tolist(), (
        "a pure function of the record"
    )
    labeled = np.zeros(300, bool)
    labeled[cold.order] = True
    assert (warm.unseen == warm.guesses)[~labeled].all()
    truth = np.array(DIGIT[:300], int)
    assert (warm.guesses == truth)[labeled].all()
    assert (warm.unseen == truth)[labeled].mean() < 1, "a held-out guess does not know the label"
    warm.save(project.path)
    again = Snapshot.load(project.path)
    assert [getattr(again, name) for name in ("version", "classes", "reasons", "made_from")] == [
        2,
        warm.classes,
        warm.reasons,
        "rows of arrays",
    ]
    assert [again.guess(i) for i in range(300)] == [warm.guess(i) for i in range(300)]
    assert again.order.tolist() == warm.order.tolist()


def test_snapshots_that_are_absent_or_damaged(tmp_path):
    assert Snapshot.load(tmp_path) is None
    whole = {"version": 1, "n_labels": 4, "classes": ["cat", "dog"], "reasons": ["r"], "made_from": "rows"}
    guesses, p, order = np.array([0, 1, -1], np.int32), np.full(3, 0.5, np.float32), np.array([2])
    whole |= {"unseen": guesses, "unreadable": np.array([2])}
    Snapshot(**whole, guesses=guesses, p=p, order=order).save(tmp_path)
    assert Snapshot.load(tmp_path).guess(1) == ("dog", 0.5)
    flipped = bytearray((tmp_path / FILE).read_bytes())
    flipped[-300] ^= 255
    for content in (b"", b"junk", b"PK\x03\x04junk", bytes(flipped)):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(RunError, match="is damaged; delete it"):
            Snapshot.load(tmp_path)
    for changed in (
        {"p": np.full(3, np.nan, np.float32)},
        {"p": np.full(3, 1.5, np.float32)},
        {"p": np.array(["x"] * 3)},
        {"p": p[:2]},
        {"guesses": guesses - 4},
        {"guesses": guesses + 1},
        {"guesses": guesses[:, None], "p": p[:, None]},
        {"unseen": guesses + 1},
        {"unseen": guesses[:2]},
        {"unreadable": p},
        {"order": np.array([1, 2])},
        {"classes": [["cat"], ["dog"]]},
        {"reasons": None},
        {"version": "1"},
    ):
        Snapshot(**{**whole, "guesses": guesses, "p": p, "order": order, **changed}).save(tmp_path)
        with pytest.raises(RunError, match="is damaged; delete it"):
            Snapshot.load(tmp_path)


@pytest.mark.parametrize("load", [Snapshot.load, PoolMap.load])
def test_caches_that_claim_more_than_memory_holds_or_nest_deeply(tmp_path, load):
    shape = np.lib.format.magic(1, 0) + (lambda head: len(head).to_bytes(2, "little") + head)(
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (3000000000000,)}".ljust(117) + b"\n"
    )
    for name in (FILE, "map.npz"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for array in ("text", "xy"):
                archive.writestr(f"{array}.npy", shape)
    with pytest.raises(RunError, match="is damaged; delete it"):
        load(tmp_path)
    for name in (FILE, "map.npz"):
        with (tmp_path / name).open("wb") as file:
            np.savez(file, text=np.frombuffer(b"[" * 100_000, np.uint8), xy=np.zeros((1, 2)))
    with pytest.raises(RunError, match="is damaged; delete it"):
        load(tmp_path)


def test_classes_that_are_renamed_merged_or_without_labels(project):
    features = item_features(project.items(), project.path / CACHE)
    label(project, map(str, range(40)))
    before = Fit.of(project, features)
    project.record_all(
        [
            Event(kind="class_rename", who="anna", label="3", name="three"),
            Event(kind="class_merge", who="anna", label="1", name="7"),
            Event(kind="class_add", who="anna", label="other"),
        ]
    )
    after = Fit.of(project, features)
    assert after.classes == [*"02", "three", *"456789", "other"]
    names = lambda fit: [fit.classes[c] for c in fit.y[:40].tolist()]  # noqa: E731
    assert names(after) == [{"3": "three", "1": "7"}.get(name, name) for name in names(before)]
    assert after.guesses.probs.shape == (300, 10)


def test_items_that_need_one_more_answer_come_first(tmp_path):
    np.save(tmp_path / "digits.npy", (DIGITS.data[:60] / 16).astype(np.float32))
    with Project.create(tmp_path / "two", classes=[str(d) for d in range(10)], copies=2) as project:
        project.add(tmp_path / "digits.npy")
        label(project, ["5", "9"])
        label(project, ["9"], who="ben")
        features = item_features(project.items(), project.path / CACHE)
        assert snapshot_of(project, features, 1).order[:2].tolist()[0] == 5
        assert 9 not in snapshot_of(project, features, 1).order
        order = Fit.of(project, features).order(torch.tensor([2, 5, 9]), 3, Rng(0))
        assert order.rows.tolist() == [5, 9, 2]
        assert order.reasons[0] == "needs one more answer"
        assert hand_out(project, "ben", 4, chosen_by_model(project, 4))[0] == "5"
        assert "5" not in hand_out(project, "anna", 4, chosen_by_model(project, 4))


def test_a_selector_puts_the_choice_first_and_names_everything_once(project):
    label(project, map(str, range(20)))
    ids = project.open_items("ben")
    given = list(chosen_by_model(project, 6)(ids))
    assert sorted(given) == sorted(ids)
    assert given == list(chosen_by_model(project, 6)(ids))
    random = [list(chosen_by_model(project, 6, share=1, seed=seed)(ids))[:6] for seed in (0, 1)]
    assert random[0] != random[1]


def worker(project, **options):
    settings = json.dumps({"project": str(project.path), **options})
    return subprocess.Popen(
        [sys.executable, "-m", "distil.labeling.worker", settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process, value, key="state"):
    """The next line with this state, or with this value of another key."""
    for line in filter(str.strip, process.stdout):
        document = json.loads(line)
        if document.get(key) == value:
            return document
    raise AssertionError(f"the worker ended without {value}")


def test_the_worker_fits_after_answers_and_ends_with_its_parent(project):
    with worker(project) as process:
        assert said(process, "fitted")["labels"] == 0
        own, its = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, process.pid))
        assert its == min(19, own + NICE), "the server and the browser come first"
        label(project, map(str, range(12)))
        assert said(process, "fitted")["labels"] == 12
        snapshot = Snapshot.load(project.path / CACHE)
        assert (snapshot.version, snapshot.n_labels, snapshot.guess(0) is None) == (2, 12, False)
        label(project, ["20"], shown=Shown(reason="random"))
        began = time.monotonic()
        assert said(process, "fitted")["labels"] == 13, "one answer is enough after a pause"
        assert time.monotonic() - began > 0.5
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.slow
def test_the_worker_makes_a_map_and_fits_meanwhile(project):
    with worker(project) as process:
        assert said(process, "pca", "map")["version"] == 1
        label(project, map(str, range(12)))
        assert said(process, "fitted")["labels"] == 12
        process.stdin.close()
        assert process.wait(20) == 0, "in the middle of t-SNE too"
    found = PoolMap.load(project.path / CACHE)
    assert found.xy.shape == (300, 2)
    assert not np.isnan(found.xy).any()


def test_a_map_that_cannot_be_saved_is_reported(project, capsys):
    (project.path / CACHE / "map.npz").mkdir(parents=True)
    made = Worker(project)
    made.look()
    made.draw()
    made._mapping.join()
    words = [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]
    assert [line["state"] for line in words if "state" in line] == ["embedding", "fitted"]
    assert words[-1]["map"] == "failed"
    assert "map.npz" in words[-1]["error"]


def test_a_worker_tries_again_when_the_machine_did_not_let_it(project, capsys):
    (project.path / CACHE / FILE).mkdir(parents=True)
    made = Worker(project)
    assert not made.work()
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["state"], "trying again" in said["error"]) == ("failed", True)
    (project.path / CACHE / FILE).rmdir()
    assert made.work()
    assert '"state": "fitted"' in capsys.readouterr().out


def test_a_worker_counts_on_from_the_last_one(project, capsys):
    for version in (1, 2):
        Worker(project).look()
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["version"] == version
    (project.path / "model" / "snapshot.npz").write_bytes(b"damaged")
    Worker(project).look()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["version"] == 1


def test_what_a_model_prints_without_ending_the_line_swallows_nothing(capsys):
    sys.stdout.write("loading ...")
    say(state="fitted")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"state": "fitted"}


def test_a_strategy_that_does_not_exist(project, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    main(json.dumps({"project": str(project.path), "strategy": "margin_samplng"}))
    words = json.loads(capsys.readouterr().out)
    assert words["state"] == "failed"
    assert "did you mean 'margin_sampling'" in words["error"]


def test_the_worker_says_why_it_cannot(tmp_path, monkeypatch):
    words, heard = [], threading.Event()

    def lines():
        """An input that ends once the worker has said something."""
        assert heard.wait(20)
        yield "\n"

    monkeypatch.setattr(sys, "stdin", lines())
    monkeypatch.setattr("distil.labeling.worker.say", lambda **said: words.append(said) or heard.set())
    with Project.create(tmp_path / "empty") as project:
        main(json.dumps({"project": str(project.path)}))
    assert words[-1]["state"] == "failed"
    assert "no items yet" in words[-1]["error"]


def test_items_that_cannot_be_read_are_not_handed_out(tmp_path):
    """A file that opens but holds no image is found when the model reads it; a person would see nothing either."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(4):
        Image.fromarray(np.full((4, 4), 60 * n, np.uint8)).save(folder / f"{n}.png")
    (folder / "junk.png").write_bytes(b"no image")
    with Project.create(tmp_path / "p", classes=["dark", "light"]) as project:
        assert project.add(folder).new == 5
        project.queue(["junk.png"])
        assert (project.status().unreadable, project.untouched) == (0, 5)
        selector = chosen_by_model(project, 9)
        list(selector(project.open_items("anna")))
        assert sorted(hand_out(project, "anna", 9, selector)) == [f"{n}.png" for n in range(4)]
        assert (project.status().unreadable, project.untouched) == (1, 4)  # no person gets it, and no model labels it
        desk = Desk(project)
        desk.snapshot = Snapshot.load(project.path / CACHE)
        assert desk.knows(desk.snapshot)
        assert desk.small("ben")["open"] == 4
        project.record([Event(kind="skip", who="ben", item="junk.png")])
        assert project.status().unreadable == 0
