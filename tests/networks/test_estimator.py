"""Classifiers of scikit-learn, unchanged: columns, embeddings, committees, texts, and a learner of them."""

import numpy as np
import pandas
import pytest
import torch
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.measuring.network_source import NetworkSource
from distil.networks.estimator import Estimator
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.choose import gather
from distil.selection.learner import Learner
from distil.selection.select import select, select_from
from distil.signals import Embedding, Inputs, Logits, MCProbs, Probs
from distil.system.runtime import Runtime
from distil.training.config import FitConfig

N = 60
RNG = np.random.default_rng(0)
CENTERS = np.array([[2.0, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 2, 0, 0]])
Y = np.arange(N) % 3
X = CENTERS[Y] + RNG.normal(size=(N, 5))
NAMES = np.array(["pear", "apple", "quince"])[Y]  # classes_ are in another order than numbers are given

WORDS = ["red", "green", "blue", "ball", "cube", "small", "large", "old", "new"]
TEXTS = [" ".join([WORDS[y], WORDS[y], *RNG.choice(WORDS, 4)]) for y in Y]


def measured(model, signals, data=X, rows=7):
    source = NetworkSource(wrap(model), data, torch.arange(len(data)))
    return gather(source, signals, Runtime(batch_size=rows), Rng(0))


def check(model, data, probs, embeddings):
    """The signals are the expected ones, and so are the selections from these arrays."""
    table = measured(model, (Probs(), Embedding()), data)
    np.testing.assert_allclose(table[Probs()].numpy(), probs, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(table[Embedding()].numpy(), embeddings, rtol=1e-6)
    for strategy, arrays in (
        ("badge", {"probs": probs, "embeddings": embeddings}),
        ("entropy_sampling", {"probs": probs}),
    ):
        picked = select(strategy, model, data, 6, rng=3)
        assert picked.tolist() == select_from(strategy, 6, seed=3, **arrays).tolist()
    return table


# --- what is read ---------------------------------------------------------------------------------------------------


def test_logistic_regression():
    """Its logits are the decision function up to a number a row: W h + b, of the embedding h."""
    model = LogisticRegression().fit(X, Y)
    table = check(model, X, model.predict_proba(X), X)
    scores = table[Embedding()].numpy() @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(table[Logits()].numpy(), torch.tensor(scores).log_softmax(-1), rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(measured(model, (Inputs(),))[Inputs()].numpy(), X)


def test_two_classes():
    model = LogisticRegression().fit(X, Y > 0)
    check(model, X, model.predict_proba(X), X)


def test_columns_are_in_the_order_of_classes():
    model = LogisticRegression().fit(X, NAMES)
    assert model.classes_.tolist() == ["apple", "pear", "quince"]
    check(model, X, model.predict_proba(X), X)


def test_a_pipeline_of_texts(case):
    """The embedding is what the classifier sees: sparse rows, filled up."""
    for data in [TEXTS, np.array(TEXTS, dtype=object).tolist(), [(t, 1) for t in TEXTS]]:
        with case(data):
            model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, NAMES)
            check(model, data, model.predict_proba(TEXTS), model[:-1].transform(TEXTS).toarray())


def test_a_pipeline_transforms_once():
    class Counting(StandardScaler):
        calls = 0

        def transform(self, x):
            Counting.calls += len(x)
            return super().transform(x)

    model = make_pipeline(Counting(), PCA(2), LogisticRegression()).fit(X, Y)
    Counting.calls = 0
    table = measured(model, (Probs(), Embedding()))
    assert Counting.calls == N
    np.testing.assert_allclose(table[Embedding()].numpy(), model[:-1].transform(X))


def test_a_pipeline_of_one_step():
    model = make_pipeline(LogisticRegression()).fit(X, Y)
    check(model, X, model.predict_proba(X), X)


def test_a_search_is_its_best_estimator():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    model = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(X, Y)
    check(model, X, model.predict_proba(X), StandardScaler().fit(X).transform(X))


def test_a_chosen_embedding():
    model, pca = LogisticRegression().fit(X, Y), PCA(2).fit(X)
    for embedding in (pca, pca.transform):
        found = measured(wrap(model, embedding=embedding), (Embedding(),))[Embedding()]
        np.testing.assert_allclose(found.numpy(), pca.transform(X))
    with pytest.raises(InvalidInput, match="must be a function or a fitted object with transform, got 'cls'"):
        wrap(model, embedding="cls")


def test_tensors_are_given_as_arrays(case):
    for data in [torch.tensor(X), torch.tensor(X, dtype=torch.float32), [torch.tensor(x) for x in X]]:
        with case(data):
            model = GaussianNB().fit(X, Y)
            found = measured(model, (Probs(),), data)[Probs()]
            np.testing.assert_allclose(found.numpy(), model.predict_proba(X), rtol=1e-3, atol=1e-5)


def test_inputs_of_other_minibatches():
    model = LogisticRegression().fit(X, Y)
    data = [{"a": x[:2], "b": x[2:]} for x in X]
    with pytest.raises(UnsupportedModel, match=r"is a dict of \['a', 'b'\]; pass inputs="):
        select("entropy_sampling", model, data, 3)
    network = wrap(model, inputs=lambda batch: np.concatenate([batch["a"], batch["b"]], 1))
    assert select("badge", network, data, 5).tolist() == select("badge", model, X, 5).tolist()


# --- classes that were not seen -------------------------------------------------------------------------------------


def test_a_number_of_classes_puts_columns_in_their_places():
    model = LogisticRegression().fit(X[Y != 1], Y[Y != 1])
    table = measured(wrap(model, num_classes=4), (Probs(),))
    expected = np.zeros((N, 4))
    expected[:, [0, 2]] = model.predict_proba(X)
    np.testing.assert_allclose(table[Probs()].numpy(), expected, rtol=1e-5, atol=1e-12)
    with pytest.raises(
        UnsupportedModel, match=r"fitted with the class 2, which is not among the 2 expected classes: \[0, 1\]"
    ):
        wrap(model, num_classes=2)


def test_a_list_of_estimators_has_the_classes_of_all():
    one, other = LogisticRegression().fit(X, NAMES), GaussianNB().fit(X[Y != 0], NAMES[Y != 0])
    table = measured([one, other], (Probs(), MCProbs(), Embedding()))
    second = np.zeros((N, 3))
    second[:, [0, 2]] = other.predict_proba(X)
    expected = np.stack([one.predict_proba(X), second], 1)
    np.testing.assert_allclose(table[MCProbs()].numpy(), expected, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(table[Probs()].numpy(), expected.mean(1), rtol=1e-4)
    np.testing.assert_array_equal(table[Embedding()].numpy(), X)


def test_given_classes():
    model = LogisticRegression().fit(X, NAMES)
    table = gather(
        NetworkSource(Estimator(model, classes=["quince", "fig", "pear", "apple"]), X, torch.arange(N)),
        (Probs(),),
        Runtime(),
        Rng(0),
    )
    np.testing.assert_allclose(table[Probs()].numpy()[:, [3, 2, 0]], model.predict_proba(X), rtol=1e-5)


# --- committees -----------------------------------------------------------------------------------------------------


def committees():
    forest = RandomForestClassifier(7, max_depth=2, random_state=0).fit(X, NAMES)
    yield "forest", forest, [tree.predict_proba(X) for tree in forest.estimators_]
    bag = BaggingClassifier(GaussianNB(), 5, max_features=3, random_state=0).fit(X, NAMES)
    pairs = zip(bag.estimators_, bag.estimators_features_, strict=True)
    yield "bagging", bag, [model.predict_proba(X[:, features]) for model, features in pairs]
    voting = VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft").fit(X, NAMES)
    yield "voting", voting, [model.predict_proba(X) for model in voting.estimators_]
    members = [
        ("a", GaussianNB()),
        ("b", LogisticRegression()),
        ("c", "drop"),
        ("d", DecisionTreeClassifier(max_depth=2)),
    ]
    weighted = VotingClassifier(members, voting="soft", weights=[0.5, 1, 7, 0.5]).fit(X, NAMES)
    each = [model.predict_proba(X) for model in weighted.estimators_]
    yield "weighted voting", weighted, [each[0], each[1], each[1], each[2]]
    calibrated = CalibratedClassifierCV(LinearSVC(), cv=3).fit(X, NAMES)
    yield "calibration", calibrated, [model.predict_proba(X) for model in calibrated.calibrated_classifiers_]
    votes = BaggingClassifier(LinearSVC(), 4, max_samples=0.3, random_state=0).fit(X, NAMES)
    yield "votes", votes, [np.eye(3)[model.predict(X)] for model in votes.estimators_]
    scaled = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=1)).fit(X, Y)
    yield "pipeline", scaled, [tree.predict_proba(scaled[:-1].transform(X)) for tree in scaled[-1].estimators_]


def test_committees(case):
    for case_id, (model, opinions) in zip(
        [case[0] for case in committees()], [case[1:] for case in committees()], strict=True
    ):
        with case(case_id):
            expected = np.stack(opinions, 1)
            table = measured(model, (MCProbs(10), Probs()))
            np.testing.assert_allclose(table[MCProbs(10)].numpy(), expected, rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(table[Probs()].numpy(), expected.mean(1), rtol=1e-5, atol=1e-7)
            for strategy in ("bald_dropout", "entropy_sampling_dropout"):
                assert select(strategy, model, X, 6).tolist() == select_from(strategy, 6, mc_probs=expected).tolist()


def test_weights_that_are_no_simple_shares_are_rounded_to_hundredths():
    model = VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft", weights=[1, np.pi])
    found = measured(model.fit(X, NAMES), (MCProbs(),))[MCProbs()].numpy()
    assert found.shape[1] == 100
    np.testing.assert_allclose(found.mean(1), model.predict_proba(X), atol=0.005)
    np.testing.assert_allclose(
        found[:, [23, 24]], np.stack([m.predict_proba(X) for m in model.estimators_], 1), rtol=1e-5
    )


def test_members_fitted_to_frames_are_called_with_frames(recwarn):
    frame = pandas.DataFrame(X, columns=[f"x{column}" for column in range(X.shape[1])])
    for model in (
        CalibratedClassifierCV(GaussianNB(), cv=3),
        VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"),
    ):
        assert len(select("bald_dropout", model.fit(frame, NAMES), frame, 3, rng=0)) == 3
    assert not [each for each in recwarn if "feature names" in str(each.message)]


def test_bagging_whose_members_have_not_seen_all_classes():
    few = BaggingClassifier(DecisionTreeClassifier(), 6, max_samples=3, random_state=0).fit(X, NAMES)
    assert any(len(member.classes_) < 3 for member in few.estimators_) or all(
        member.tree_.n_node_samples[0] < 4 for member in few.estimators_
    )
    found = measured(few, (MCProbs(),))[MCProbs()].numpy()
    np.testing.assert_allclose(found.mean(1), few.predict_proba(X), rtol=1e-5, atol=1e-7)
    knn = BaggingClassifier(KNeighborsClassifier(1), 6, max_samples=2, random_state=0).fit(X, NAMES)
    assert any(len(member.classes_) < 3 for member in knn.estimators_)
    found = measured(wrap(knn), (MCProbs(),))[MCProbs()].numpy()
    np.testing.assert_allclose(found.mean(1), knn.predict_proba(X), rtol=1e-5, atol=1e-7)


def test_without_a_committee_samples_are_equal_with_a_warning(case):
    """Members of boosting and of one-versus-rest are no opinions about the same question."""
    for model in [
        LogisticRegression(),
        AdaBoostClassifier(n_estimators=3, random_state=0),
        OneVsRestClassifier(GaussianNB()),
        CalibratedClassifierCV(GaussianNB(), ensemble=False),
    ]:
        with case(model):
            model = clone(model).fit(X, Y)
            with pytest.warns(DistilWarning, match="is not a mean of members, so all samples are equal") as caught:
                found = measured(model, (MCProbs(4),))[MCProbs(4)].numpy()
            assert len(caught) == 1
            np.testing.assert_allclose(found, np.repeat(model.predict_proba(X)[:, None], 4, 1), rtol=1e-5, atol=1e-7)


# --- what has no probabilities --------------------------------------------------------------------------------------


def test_decision_functions(case):
    for case_id, model in zip(["LinearSVC", "SVC"], [LinearSVC(), SVC()], strict=True):
        with case(case_id):
            model.fit(X, Y)
            name = type(model).__name__
            with pytest.raises(
                UnsupportedModel, match=rf"{name} has no predict_proba; .* or fit CalibratedClassifierCV\({name}"
            ) as caught:
                select("entropy_sampling", model, X, 3)
            assert 'pass distil.wrap(model, logits="decision_function")' in str(caught.value)
            table = measured(wrap(model, logits="decision_function"), (Logits(),))
            np.testing.assert_allclose(table[Logits()].numpy(), model.decision_function(X))
            calibrated = CalibratedClassifierCV(type(model)(), cv=2).fit(X, Y)
            check(calibrated, X, calibrated.predict_proba(X), X)


def test_the_decision_function_of_two_classes():
    """A margin of 0 is a probability of a half."""
    model = LinearSVC().fit(X, Y == 1)
    probs = measured(wrap(model, logits="decision_function"), (Probs(),))[Probs()]
    np.testing.assert_allclose(probs[:, 1].numpy(), 1 / (1 + np.exp(-model.decision_function(X))))
    nearest = np.abs(model.decision_function(X)).argsort()[:5]
    picked = select("margin_sampling", wrap(model, logits="decision_function"), X, 5)
    assert picked.tolist() == nearest.tolist()


def test_what_cannot_be_read(case):
    for case_id, (model, arguments, message) in zip(
        ["not fitted", "pipeline not fitted", "regression", "several outputs", "one versus one"],
        [
            (LogisticRegression(), {}, "LogisticRegression is not fitted; call its fit first"),
            (make_pipeline(StandardScaler(), GaussianNB()), {}, "GaussianNB is not fitted"),
            (
                LinearRegression().fit(X, Y),
                {},
                r"LinearRegression is not a classifier; regression is not supported",
            ),
            (
                KNeighborsClassifier().fit(X, np.stack([Y, Y], 1)),
                {},
                "has 2 outputs; multi-label models need task=.multilabel",
            ),
            (
                SVC(decision_function_shape="ovo").fit(X[:40], np.arange(40) % 4),
                {"logits": "decision_function"},
                "set decision_function_shape='ovr'",
            ),
        ],
        strict=True,
    ):
        with case(case_id):
            with pytest.raises(UnsupportedModel, match=message) as caught:
                wrap(model, example=X, **arguments)
            assert "\n" not in str(caught.value)


def test_arguments_of_modules_are_refused():
    model = GaussianNB().fit(X, Y)
    with pytest.raises(
        InvalidInput, match="head= and output= cannot be used with GaussianNB, which takes logits=, embedding="
    ):
        wrap(model, head="fc", output="probs")
    with pytest.raises(InvalidInput, match="must be 'predict_proba' or 'decision_function', got 'scores'"):
        wrap(model, logits="scores")


def test_attacks_and_inputs_that_are_no_numbers():
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, Y)
    with pytest.raises(
        UnsupportedModel, match=r"^AdversarialDeepFool needs gradients .*Estimator\(Pipeline.* has none"
    ):
        select("adversarial_deepfool", model, TEXTS, 3)
    with pytest.raises(UnsupportedModel, match="to be called with rows of numbers"):
        measured(model, (Inputs(),), TEXTS)
    words = KNeighborsClassifier(1, metric=lambda a, b: 0.0).fit(X, Y)
    assert measured(words, (Embedding(),), X)[Embedding()].shape == (N, 5)


def test_the_repr_is_one_line():
    model = make_pipeline(StandardScaler(), GaussianNB()).fit(X, Y)
    start = "Pipeline(StandardScaler, GaussianNB): 3 classes by predict_proba; embedding: "
    assert repr(wrap(model)) == f"Estimator({start}the inputs of GaussianNB)"
    assert repr(wrap(model, embedding=PCA(2).fit(X))) == f"Estimator({start}as given)"


# --- a learner ------------------------------------------------------------------------------------------------------


def test_a_learner_of_texts(case):
    for data in [TEXTS, [(t, 9) for t in TEXTS]]:
        with case(data):
            model = make_pipeline(TfidfVectorizer(), LogisticRegression())
            learner = Learner(data, model, "margin_sampling", num_classes=4)
            learner.label([0, 1], Y[[0, 1]])  # classes 2 and 3 have not been seen
            for _ in range(4):
                assert learner.fit() is model
                ids = learner.query(4)
                learner.label(ids, Y[ids.ids])
            assert len(learner.pool.labeled) == 18
            by_hand = clone(model).fit([TEXTS[i] for i in range(2)], Y[:2])
            first = Learner(data, clone(model), "margin_sampling", num_classes=4)
            first.label([0, 1], Y[[0, 1]])
            first.fit()
            probs = np.concatenate([by_hand.predict_proba(TEXTS), np.zeros((N, 2))], 1)
            assert first.query(4).tolist() == select_from("margin_sampling", 4, probs=probs, labeled=[0, 1]).tolist()


def test_a_learner_of_arrays_whose_model_is_built_anew():
    built = []

    def build():
        built.append(RandomForestClassifier(5, random_state=len(built)))
        return built[-1]

    learner = Learner(X, build, "bald_dropout", num_classes=3)
    learner.label(range(6), Y[:6])
    for _ in range(3):
        assert learner.fit() is built[-1]
        ids = learner.query(3)
        learner.label(ids, Y[ids.ids])
    assert len(built) == 3


def test_a_learner_with_a_fit_that_returns_another_estimator():
    learner = Learner(
        X,
        LogisticRegression(),
        "margin_sampling",
        num_classes=3,
        fit=lambda model, labeled, _: clone(model).fit(labeled.x, labeled.y),
    )
    learner.label(range(6), Y[:6])
    first = learner.fit()
    assert learner.module is first
    assert learner.fit() is not first
    assert len(learner.query(4)) == 4


def test_a_learner_of_a_classifier_with_other_class_names(case):
    """What the classes are called is no part of the answer; the classifier keeps its names, also where a class is missing."""
    for names in [[1, 2, 3], ["cat", "cow", "dog"]]:
        with case(names):
            called = np.array(names)[Y]

            def play(model, labels):
                learner = Learner(X, model, "glister", num_classes=3)
                first = [i for i in range(N) if Y[i] != 2][:8]
                learner.label(first, labels[first])
                learner.fit()
                asked = learner.query(4).tolist()
                learner.label(dict(zip(asked, labels[asked].tolist(), strict=True)))
                learner.fit()
                return asked, learner.query(4).tolist(), learner.module.classes_.tolist(), learner

            expected = play(GaussianNB().fit(X, Y), Y)
            found = play(GaussianNB().fit(X, called), called)
            assert found[:2] == expected[:2]
            assert set(found[2]) <= set(names)
            with pytest.raises(InvalidInput, match=f"labels: 'bird' is not one of the 3 classes, {names[0]!r}, "):
                found[3].label([0], ["bird"])
            with pytest.raises(InvalidInput, match="num_classes is 2, and the model is fitted to 3"):
                Learner(X, GaussianNB().fit(X, called), "glister", num_classes=2)


def test_the_state_of_a_learner_of_an_estimator():
    learner = Learner(X, GaussianNB(), "margin_sampling", num_classes=3)
    learner.label(range(9), Y[:9])
    learner.fit()
    learner.query(3)
    other = Learner(X, GaussianNB(), "margin_sampling", num_classes=3)
    other.load_state_dict(learner.state_dict())
    with pytest.raises(UnsupportedModel, match="GaussianNB is not fitted"):
        other.query(3)
    other.fit()
    assert other.query(3).tolist() == learner.query(3).tolist()


def test_arguments_that_a_learner_of_an_estimator_refuses():
    with pytest.raises(InvalidInput, match=r"trains modules, not GaussianNB; pass fit\(model, labeled, round\)"):
        Learner(X, GaussianNB(), "margin_sampling", num_classes=3, fit=FitConfig())
    with pytest.raises(InvalidInput, match="trains modules, not list"):
        Learner(X, [torch.nn.Linear(5, 3)] * 2, "margin_sampling", num_classes=3)
    with pytest.raises(
        InvalidInput, match="transform= cannot be used with an estimator; put the preparation of inputs into a Pipeline"
    ):
        Learner(X, GaussianNB(), "margin_sampling", num_classes=3, transform=lambda x: x)


def test_a_learner_excludes_for_one_query():
    learner = Learner(X, GaussianNB(), "margin_sampling", num_classes=3)
    learner.label(range(9), Y[:9])
    learner.fit()
    free = learner.query(3)
    other = Learner(X, GaussianNB(), "margin_sampling", num_classes=3)
    other.label(range(9), Y[:9])
    other.fit()
    found = other.query(3, exclude=free)
    assert not set(found) & set(free)
    assert set(other.query(3)) & set(free)  # not asked that time, but still in the pool


def test_a_learner_begins_at_random_with_an_estimator_that_is_not_fitted():
    learner = Learner(X, GaussianNB(), "random_sampling", num_classes=3)
    assert set(learner.query(2, exclude=[i for i in range(N) if i not in (20, 21)])) == {20, 21}


# --- data frames and sparse matrices --------------------------------------------------------------------------------


class Frame:
    """The part of a data frame that is used here; scikit-learn takes it as an array."""

    def __init__(self, values):
        self.values = values

    shape = property(lambda self: self.values.shape)
    iloc = property(lambda self: _At(self))

    def __len__(self):
        return len(self.values)

    def __getitem__(self, column):
        raise KeyError(column)

    def to_numpy(self):
        return self.values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


class _At:
    def __init__(self, frame):
        self.frame = frame

    def __getitem__(self, rows):
        return Frame(self.frame.values[rows])


def test_frames_and_sparse_matrices(case):
    """The same picks as of an array, with labeled rows by position or of their own."""
    for kind in [Frame, csr_matrix, csr_array, coo_array]:
        with case(kind):
            data, model = kind(X), LogisticRegression().fit(X, Y)
            assert select("badge", model, data, 6).tolist() == select("badge", model, X, 6).tolist()
            expected = select("core_set", model, X, 6, labeled=range(5)).tolist()
            assert select("core_set", model, data, 6, labeled=range(5)).tolist() == expected
            own = select("core_set", model, X[5:], 6, labeled=(X[:5], Y[:5])).tolist()
            assert select("core_set", model, kind(X[5:]), 6, labeled=(kind(X[:5]), Y[:5])).tolist() == own
            assert select("core_set", model, kind(X[5:]), 6, labeled=kind(X[:5])).tolist() == own
            picks = []
            for pool in (data, X):
                learner = Learner(pool, LogisticRegression(), "margin_sampling", num_classes=3)
                learner.label(range(6), Y[:6])
                learner.fit()
                picks.append(learner.query(5).tolist())
            assert picks[0] == picks[1]
            assert learner.labeled[2][1] == Y[2]


def test_sparse_rows_are_made_dense_only_for_strategies_that_read_them(monkeypatch):
    model, data = LogisticRegression().fit(X, Y), csr_array(X)
    expected = select("margin_sampling", model, X, 6).tolist()

    def refuse(*_, **__):
        raise AssertionError("filled up")

    monkeypatch.setattr(csr_array, "toarray", refuse)
    assert select("margin_sampling", model, data, 6).tolist() == expected
    with pytest.raises(AssertionError, match="filled up"):
        select("badge", model, data, 6)


def test_a_module_cannot_read_frames():
    with pytest.raises(
        UnsupportedModel, match=r"reads tensors, got a Frame; for numbers pass data.to_numpy.*for others inputs="
    ):
        select("entropy_sampling", torch.nn.Linear(5, 3), Frame(X), 3)
    model = torch.nn.Linear(5, 3)
    network = wrap(model, inputs=lambda frame: torch.tensor(frame.to_numpy(), dtype=torch.float32))
    assert select("badge", network, Frame(X), 5).tolist() == select("badge", model, X, 5).tolist()


def test_a_learner_fits_an_estimator_that_can_predict_only_when_fitted():
    stacking = StackingClassifier([("nb", GaussianNB()), ("tree", DecisionTreeClassifier())], cv=2)
    learner = Learner(X, stacking, "margin_sampling", classes=sorted(set(NAMES)))
    learner.label(range(12), NAMES[:12])
    learner.fit()
    assert len(learner.query(3)) == 3


class Own:
    """A classifier with the methods of scikit-learn, whose scores and classes are as given."""

    def __init__(self, scores, classes):
        self.scores, self.classes_ = scores, classes

    def fit(self, x, y):
        return self

    def predict(self, x):
        return [self.classes_[0]] * len(x)

    def predict_proba(self, x):
        return self.scores(PROBS[: len(x)])


PROBS = np.random.default_rng(3).dirichlet(np.ones(3), 30)


def test_scores_are_probabilities_in_the_order_of_the_classes(case, refuses):
    x, names = np.zeros((30, 2)), ["ant", "bee", "cow"]
    expected = select_from("margin_sampling", 4, probs=PROBS).tolist()
    for kind, scores in {"array": np.asarray, "frame": lambda p: pandas.DataFrame(p, columns=names)}.items():
        with case(kind):
            assert select("margin_sampling", Own(scores, names), x, 4).tolist() == expected
    with refuses(
        UnsupportedModel, "Own.predict_proba returned the columns cow, bee, ant, and its classes_ are ant, bee, cow"
    ):
        select("margin_sampling", Own(lambda p: pandas.DataFrame(p[:, ::-1], columns=names[::-1]), names), x, 4)
    with refuses(UnsupportedModel, "Own.predict_proba returned -", "expected probabilities from 0 to 1"):
        select("margin_sampling", Own(lambda p: p + np.array([-1, 1, 0]), names), x, 4)


def test_an_ensemble_in_place_of_the_data_is_named(refuses):
    with refuses(
        InvalidInput, "data must be", "got RandomForestClassifier, which is a model; check the order of the arg"
    ):
        Learner(RandomForestClassifier(), np.zeros((4, 2)), "margin_sampling", num_classes=2)
