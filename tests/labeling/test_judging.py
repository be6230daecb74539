"""What cross-validation says about the labels of a project."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from distil.errors import InvalidInput
from distil.labeling import fitting as module
from distil.labeling.events import Event
from distil.labeling.features import item_features
from distil.labeling.judging import judged
from distil.labeling.model import CACHE
from distil.labeling.project import Project
from distil.labeling.quality import Quality
from distil.labeling.worker import Worker
from distil.rng import Rng
from distil.training.linear_head import LinearHead, held_out

DIGITS = load_digits()


def project_of(folder, n, **options):
    np.save(folder / "digits.npy", (DIGITS.data[:n] / 16).astype(np.float32))
    project = Project.create(folder / "p", classes=[str(d) for d in range(10)], **options)
    project.add(folder / "digits.npy")
    return project


def say(project, who, labels, kind="label"):
    project.record_all([Event(kind=kind, who=who, item=str(i), label=str(d)) for i, d in labels.items()])


def judge(project):
    return judged(project, item_features(project.items(), project.path / CACHE))


def test_most_of_75_flipped_labels_of_1500_are_found(tmp_path):
    rng = np.random.default_rng(0)
    wrong = set(rng.choice(1500, 75, replace=False).tolist())
    labels = {i: (d + rng.integers(1, 10)) % 10 if i in wrong else d for i, d in enumerate(DIGITS.target[:1500])}
    with project_of(tmp_path, 1797) as project:
        say(project, "anna", labels)
        found = judge(project)
        assert found == judge(project), "a pure function of the record"
    items = [int(each.item) for each in found.suspects]
    hits = [item in wrong for item in items]
    assert sum(hits) >= 60
    assert len(items) <= 100
    assert sum(hits[:20]) == 20, "worst first"
    assert found.labels == 1500
    assert 55 <= found.errors <= 100
    assert 0.85 < found.agreement < 0.95, "75 labels and the errors of the model"
    for each in found.suspects:
        assert each.label == str(labels[int(each.item)]) != each.guess
        assert 0.1 < each.p <= 1
    right = [each.guess == str(DIGITS.target[int(each.item)]) for each in found.suspects if int(each.item) in wrong]
    assert np.mean(right) > 0.9


def test_people_and_the_order_to_label_and_relabel(tmp_path):
    rng = np.random.default_rng(1)
    truth = DIGITS.target[:300]
    skill = {"anna": 0.99, "ben": 0.9, "carl": 0.6}
    with project_of(tmp_path, 300, copies=3) as project:
        for who, share in skill.items():
            say(project, who, {i: d if rng.random() < share else (d + 1) % 10 for i, d in enumerate(truth[:200])})
        say(project, "dora", {5: truth[5]}, "decide")
        found = judge(project)
        truths = project.truths()
    assert sorted(found.annotators, key=found.annotators.get) == ["carl", "ben", "anna"]
    order = [item for item, _ in found.relabel]
    scores = [score for _, score in found.relabel]
    assert scores == sorted(scores)
    assert len(set(order)) == 299, "all but the decided item"
    first = {i for i in map(int, order[:100]) if i < 200}
    disputed = np.mean([len(set(truths[str(i)].votes.values())) > 1 for i in first])
    assert disputed > np.mean([len(set(truths[str(i)].votes.values())) > 1 for i in range(200)]) + 0.2
    assert np.mean([int(item) >= 200 for item in order[:100]]) > 0.38, "a third of all items have no label"


def test_the_only_item_of_a_class_is_no_suspect_and_ties_have_no_label(tmp_path):
    with project_of(tmp_path, 60) as project:
        with pytest.raises(InvalidInput, match="fewer than two classes have labels"):
            judge(project)
        say(project, "anna", {i: DIGITS.target[i] for i in range(40)})
        project.record_all([Event(kind="class_add", who="anna", label="other")])
        project.record_all([Event(kind="label", who="anna", item="41", label="other")])
        say(project, "ben", {0: (DIGITS.target[0] + 1) % 10})
        found = judge(project)
        assert found.labels == 40, "the tied item has no label"
        assert "41" not in [each.item for each in found.suspects]
        assert "0" in dict(found.relabel)


def test_a_class_that_is_renamed_while_labels_are_judged(tmp_path, monkeypatch):
    with project_of(tmp_path, 60) as project:
        say(project, "anna", dict(enumerate(DIGITS.target[:60])))
        features = item_features(project.items(), project.path / CACHE)
        real = module.fitted

        def slow(*of):
            project.record_all([Event(kind="class_rename", who="anna", label="3", name="three")])
            return real(*of)

        monkeypatch.setattr(module, "fitted", slow)
        assert judged(project, features).labels == 60


def test_decisions_and_people_whose_items_are_gone(tmp_path):
    with project_of(tmp_path, 60) as project:
        say(project, "anna", {i: DIGITS.target[i] for i in range(40)}, "decide")
        found = judge(project)
        assert (found.labels, found.suspects, found.annotators) == (40, (), {})
        assert sorted(int(item) for item, _ in found.relabel) == [*range(40, 60)]
        say(project, "ben", {50: DIGITS.target[50]})
        say(project, "carl", {59: DIGITS.target[59]})
        np.save(tmp_path / "digits.npy", (DIGITS.data[:58] / 16).astype(np.float32))
        project.add(tmp_path / "digits.npy")
        found = judge(project)
        assert [*found.annotators] == ["ben"]
        assert "59" not in dict(found.relabel)


def test_with_one_person_the_scores_are_those_of_the_model_and_weights_of_1(tmp_path):
    x, y = torch.from_numpy((DIGITS.data[:80] / 16).astype(np.float32)), torch.from_numpy(DIGITS.target[:50])
    with project_of(tmp_path, 80) as project:
        say(project, "anna", {i: DIGITS.target[i] for i in range(50)})
        found = dict(judge(project).relabel)
        probs = held_out(LinearHead.over(x, 10), x[:50], y, Rng(0).child("quality", project.id))
    for i in range(50):
        assert found[str(i)] == pytest.approx((2 * float(probs[i, y[i]]) + 1 / 10) / 3, abs=1e-5)
    assert max(found[str(i)] for i in range(50, 80)) <= (1 + 1 / 10) / 2


def test_the_worker_judges_after_enough_labels_and_a_pause(tmp_path, capsys, monkeypatch):
    torch.set_num_threads(1)
    with project_of(tmp_path, 100) as project:
        worker = Worker(project)
        clock = [0.0]
        monkeypatch.setattr("distil.labeling.worker.time.monotonic", lambda: clock[0])

        def look():
            worker.look()
            worker.judge()
            return "quality" in capsys.readouterr().out

        say(project, "anna", {i: DIGITS.target[i] for i in range(19)})
        clock[0] += 100
        assert not look()
        say(project, "anna", {i: DIGITS.target[i] for i in range(19, 30)})
        assert not look(), "no pause yet"
        clock[0] += 2
        assert look()
        assert Quality.load(project.path / CACHE).labels == 30
        clock[0] += 100
        assert not look(), "no new labels"
