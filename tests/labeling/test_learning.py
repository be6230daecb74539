"""``project.learner``: labels of people go in, queries go to the people."""

import numpy as np
import pytest
import torch
from torch import nn

import distil
from distil.errors import InvalidInput
from distil.labeling.events import Event
from distil.labeling.handing_out import hand_out, random_order
from distil.labeling.learning import ProjectLearner
from distil.labeling.project import Project
from distil.strategies import MaxHerding

X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)


def labeled(learner):
    return {str(name): label for name, label in learner.learner.labels.items()}


def test_labels_go_in_and_withdrawn_ones_out(project, say):
    say("anna", "label", "2", "cat")
    learner = project.learner(data=X)
    assert labeled(learner) == {"2": "cat"}
    key = say("anna", "label", "3", "dog")
    say("anna", "label", "2", "dog")
    say("ben", "skip", "5")
    assert learner.sync() == 2
    assert labeled(learner) == {"2": "dog", "3": "dog"}
    assert learner.learner.pool.skipped.tolist() == [5]
    say("anna", "undo", target=key)
    say("carl", "label", "5", "cat")
    assert learner.sync() == 2
    assert labeled(learner) == {"2": "dog", "5": "cat"}
    say("x", "withdraw", "5", of="carl")
    say("x", "withdraw", "5", of="ben")
    assert learner.sync() == 1
    assert learner.learner.pool.skipped.tolist() == []
    assert learner.sync() == 0


def test_queries_are_handed_out_first_and_replace_each_other(project, say):
    project.queue(["9"])  # by someone else
    learner = project.learner(data=X)
    first = learner.query(3)
    assert project.queue_ids() == [*first.names, *(["9"] if "9" not in first.names else [])]
    assert hand_out(project, "anna", 1, random_order()) == [first.names[0]]
    say("ben", "label", first.names[1], "cat")
    second = learner.query(4)
    assert not {first.names[0], first.names[1]} & set(second.names)  # anna has one, ben answered one
    assert project.queue_ids() == [*second.names, *(["9"] if "9" not in second.names else [])]
    assert len(learner.learner.pool.asked) == 4  # those of the first query are no longer pending


def test_only_open_items_are_queried(project, say):
    for item in "01234":
        say("anna", "label", item, "cat" if int(item) % 2 else "dog")
    say("anna", "skip", "5")
    project.lease("ben", 1, ["6"])
    learner = project.learner(strategy="random_sampling", data=X)
    assert sorted(learner.query(50).names) == ["7", "8", "9"]
    for item in "789":
        say("anna", "unsure", item)
    with pytest.raises(InvalidInput, match="no item is open"):
        learner.query(1)
    with pytest.raises(InvalidInput, match="n must be a whole number from 1 on"):
        learner.query(0)


def test_the_picks_are_those_of_a_learner(project, say):
    """Without labels those of MaxHerding; with labels those of a Learner with these labels and a head."""
    learner = project.learner(data=X)
    mine = distil.Learner(X, distil.LinearHead.over(X, 2), MaxHerding(), num_classes=2, seed=0)
    assert learner.query(3).tolist() == mine.query(3).tolist()
    labels = {"1": "cat", "4": "dog", "6": "cat"}
    for item, label in labels.items():
        say("anna", "label", item, label)
    learner.fit()
    mine = distil.Learner(X, distil.LinearHead.over(X, 2), "uherding", classes=["cat", "dog"], seed=0)
    mine.label([1, 4, 6], [*labels.values()])
    mine.fit()
    mine.queries = 1
    assert learner.query(3).tolist() == mine.query(3).tolist()


def test_classes_may_change(project, say):
    say("anna", "label", "1", "cat")
    say("anna", "label", "2", "dog")
    learner = project.learner(data=X)
    learner.fit()
    project.record_all(
        [
            Event(kind="class_add", who="anna", label="cow"),
            Event(kind="class_rename", who="anna", label="dog", name="hound"),
        ]
    )
    say("anna", "label", "3", "cow")
    assert learner.sync() == 3
    assert labeled(learner) == {"1": "cat", "2": "hound", "3": "cow"}
    assert learner.learner.round == 1  # fitted to the new classes at once
    outputs = learner.learner.module(torch.from_numpy(X))
    assert outputs.shape == (10, 3)
    assert outputs.argmax(1)[[1, 2, 3]].tolist() == [0, 1, 2]


def test_models_of_ones_own(project, say):
    say("anna", "label", "1", "cat")
    say("anna", "label", "2", "dog")
    fixed = project.learner(nn.Linear(4, 2), "margin_sampling", data=X, fit=distil.FitConfig(n_epoch=1))
    built = project.learner(lambda: nn.Linear(4, len(project.classes)), data=X, fit=distil.FitConfig(n_epoch=1))
    for learner in (fixed, built):
        learner.fit()
        assert len(learner.query(2)) == 2
    project.record_all([Event(kind="class_add", who="anna", label="cow")])
    assert built.fit() is not None
    assert built.learner.pool.num_classes == 3
    with pytest.raises(InvalidInput, match=r"now \['cat', 'dog', 'cow'\], and the model was made for \['cat', 'dog'\]"):
        fixed.sync()
    names = [item.id for item in project.items()]
    own = ProjectLearner(
        project, lambda classes: distil.Learner(X, nn.Linear(4, 3), "badge", classes=classes, names=names)
    )
    assert len(own.query(2)) == 2
    with pytest.raises(InvalidInput, match="the learner has no names"):
        ProjectLearner(project, lambda classes: distil.Learner(X, nn.Linear(4, 3), "badge", classes=classes))


def test_the_rows_are_found_by_their_ids(project, say, tmp_path):
    say("anna", "label", "3", "cat")
    np.save(tmp_path / "emb.npy", X[[3, 0, 7]])
    (tmp_path / "emb.ids.txt").write_text("3\n0\n7.0\n")
    learner = project.learner(data=tmp_path / "emb.npy")
    assert labeled(learner) == {"3": "cat"}
    assert torch.equal(learner.learner.labeled.x, torch.from_numpy(X[[3]]))
    assert sorted(learner.query(5).names) == ["0", "7"]
    (tmp_path / "emb.ids.txt").write_text("a\nb\nc\n")
    with pytest.raises(InvalidInput, match="none of its ids"):
        project.learner(data=tmp_path / "emb.npy")
    with pytest.raises(InvalidInput, match="data has 9 rows, and the project 10 items"):
        project.learner(data=X[:9])


def test_without_data_the_items_are_read(project, say):
    learner = project.learner()
    assert learner.learner.names == [str(n) for n in range(10)]
    with pytest.raises(InvalidInput, match="the project has no labels to train on yet"):
        learner.fit()
    assert len(learner.query(2)) == 2


def test_a_learner_needs_two_classes(tmp_path, texts):
    with Project.create(tmp_path / "p", classes=["cat"]) as project:
        project.add(texts)
        with pytest.raises(InvalidInput, match=r"needs two classes, and the project has \['cat'\]"):
            project.learner(data=X)


def test_a_later_learner_goes_on(project, say):
    """Nothing but the project is kept between two processes."""
    say("anna", "label", "1", "cat")
    first = project.learner(data=X).query(3).names
    with Project.open(project.path) as again:
        learner = again.learner(data=X)
        assert labeled(learner) == {"1": "cat"}
        assert learner.query(3).names == first
