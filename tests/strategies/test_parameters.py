"""Hyper-parameters: valid and invalid values of every field, the messages, and registering strategies."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch

import distil.strategies
from distil.cli.options import parameters_of
from distil.errors import InvalidInput, UnknownName
from distil.experiment.config.strategy_section import StrategySpec
from distil.signals import Gradient, Labels, Measured, Probs
from distil.strategies import (
    BADGE,
    BALD,
    CRAIG,
    FASS,
    GLISTER,
    STRATEGIES,
    AdversarialBIM,
    GradMatch,
    MarginSampling,
    Needs,
    ProbCover,
    ScoreStrategy,
    Strategy,
    SubmodularSampling,
    register,
    strategy_named,
)
from distil.strategies.base import Shortlist
from distil.strategies.parameters import count
from distil.strategies.registry import as_strategy

FIELDS = [(name, field) for name, cls in sorted(STRATEGIES.items()) for field in dataclasses.fields(cls)]
ABSURD = [
    "x",
    "",
    b"x",
    -1,
    10**400 * -1,
    float("nan"),
    float("inf"),
    -float("inf"),
    np.float64("nan"),
    2.5j,
    [],
    [1],
    {},
    (),
    {1},
    object(),
    np.zeros(3),
    torch.zeros(2),
    np.datetime64("2020-01-01"),
    Ellipsis,
]


def test_every_field_refuses_invalid_values():
    """The error names the strategy, the field and the value, and is the same for the class and for its name."""
    assert len(FIELDS) > 40
    for name, field in FIELDS:
        for value in [*ABSURD, *([] if field.default is None else [None])]:
            with pytest.raises(InvalidInput) as of_class:
                STRATEGIES[name](**{field.name: value})
            with pytest.raises(InvalidInput) as of_name:
                strategy_named(name, **{field.name: value})
            assert str(of_class.value) == str(of_name.value)
            assert str(of_class.value).startswith(f"{STRATEGIES[name].__name__}: {field.name} must be ")
            assert f", got {value!r}" in str(of_class.value)


def test_no_field_takes_values_of_another_type():
    """True is not a number, 1 is not a flag, 2.0 is not a count."""
    invalid = {
        "bool": [0, 1, "no", "true", 1.0],
        "int": [True, 2.0, 0, "3", np.float64(2)],
        "float": [True, "0.5", np.bool_(True)],
    }
    for name, field in FIELDS:
        for value in invalid.get(field.type, [True, 0, "zzz"]):  # others are choices, or None by default
            with pytest.raises(InvalidInput, match=f"^{STRATEGIES[name].__name__}: {field.name} must be"):
                STRATEGIES[name](**{field.name: value})


def test_one_text_for_python_the_command_line_and_json():
    texts = set()
    for build in (
        lambda: ProbCover(radius="x"),
        lambda: strategy_named("probcover", radius="x"),
        lambda: strategy_named("probcover", **parameters_of(["radius=x"])),
        lambda: StrategySpec("probcover", json.loads('{"radius": "x"}'), "probcover").build(),
    ):
        with pytest.raises(InvalidInput) as caught:
            build()
        texts.add(str(caught.value))
    assert texts == {"ProbCover: radius must be a number above 0, got 'x'"}


def test_messages(refuses):
    for build, message in (
        (lambda: GLISTER(valid="no"), "GLISTER: valid must be True or False, got 'no'"),
        (lambda: ProbCover(radius=1e-200), "ProbCover: radius must be a number above 0, got 1e-200; its square is 0"),
        (lambda: ProbCover(purity=1.01), "ProbCover: purity must be a number above 0 and at most 1, got 1.01"),
        (lambda: FASS(top_n=0.5), "FASS: top_n must be a number from 1, got 0.5"),
        (lambda: FASS(uncertainty="entrpy"), "got 'entrpy'; did you mean 'entropy'?"),
        (lambda: GradMatch(loss="mse"), "GradMatch: loss must be a function that can be hashed, got 'mse'"),
    ):
        with refuses(InvalidInput, message):
            build()


def test_numpy_numbers_are_stored_as_python_numbers():
    """So equal strategies compare and hash equal, and their repr can be evaluated."""
    pairs = [
        (BALD(np.int64(7)), BALD(7)),
        (ProbCover(radius=np.float64(0.25), n_classes=np.uint8(3)), ProbCover(radius=0.25, n_classes=3)),
        (ProbCover(radius=np.float32(0.25)), ProbCover(radius=0.25)),
        (ProbCover(radius=2), ProbCover(radius=2.0)),
        (GradMatch(valid=np.bool_(True), ridge=np.int32(0)), GradMatch(valid=True, ridge=0)),
    ]
    for one, other in pairs:
        assert one == other
        assert hash(one) == hash(other)
        assert eval(repr(one), vars(distil.strategies)) == one
        assert "np." not in repr(one)


def test_choices_in_any_case_and_with_hyphens_are_the_same_choice():
    assert CRAIG("per-batch") == CRAIG("PerBatch")
    assert SubmodularSampling("Disparity-Min") == SubmodularSampling("disparity_min")
    assert repr(FASS(function="Graph-Cut")) == repr(FASS(function="graph_cut"))


def test_replacing_a_field_checks_it():
    assert dataclasses.replace(BALD(3), n_samples=np.int64(4)) == BALD(4)
    with pytest.raises(InvalidInput, match="n_samples must be"):
        dataclasses.replace(BALD(3), n_samples=0)


def test_none_is_the_default_where_there_is_none():
    assert ProbCover(radius=None) == ProbCover()
    assert GLISTER(lam=None, loss=None) == GLISTER()


def test_misspelt_parameters_are_offered_the_nearest(refuses):
    with refuses(
        InvalidInput, "probcover has no parameter 'raduis'; did you mean 'radius'?", "radius, n_classes, purity"
    ):
        strategy_named("probcover", raduis=1)
    with refuses(InvalidInput, "core_set has no parameter 'size'; it has no parameters"):
        strategy_named("core_set", size=1)


def test_names_of_strategies_are_strings(refuses):
    for name in (3, None, ["badge"], BADGE):
        with refuses(InvalidInput, "expected the name of a strategy, got"):
            strategy_named(name)
    with refuses(UnknownName, "did you mean 'badge'"):
        strategy_named("bagde")


# --- registering ----------------------------------------------------------------------------------------------------


@pytest.fixture
def registry():
    """The registry; strategies that a test registers are removed afterwards."""
    registered = distil.strategies.registry._REGISTRY
    before = dict(registered)
    yield registered
    registered.clear()
    registered.update(before)


CELL = """
@register("mine")
@dataclass(frozen=True)
class Mine(ScoreStrategy):
    scale: float = {scale}
    needs = property(lambda self: Needs(pool=(Probs(),)))

    def score(self, sets):
        return self.scale * sets.pool[Probs()].amax(1)
"""


def run_cell(text, module="__main__"):
    scope = {"register": register, "dataclass": dataclasses.dataclass, "ScoreStrategy": ScoreStrategy}
    exec(text, {**scope, "Needs": Needs, "Probs": Probs, "__name__": module})


def test_a_cell_that_is_run_again_replaces_the_strategy(registry, refuses):
    run_cell(CELL.format(scale=1.0))
    run_cell(CELL.format(scale=2.0))
    assert strategy_named("mine").scale == 2.0
    with refuses(InvalidInput, "'mine' already belongs to __main__.Mine"):
        run_cell(CELL.format(scale=1.0).replace("class Mine", "class Other"))
    with refuses(InvalidInput, "'mine' already belongs to __main__.Mine"):
        run_cell(CELL.format(scale=1.0), "elsewhere")
    assert strategy_named("mine").scale == 2.0
    with refuses(InvalidInput, "'badge' already belongs to distil.strategies.gradient.BADGE; choose another name"):
        run_cell(CELL.format(scale=1.0).replace('"mine"', '"badge"'))


def test_parameters_without_default_are_required(registry, refuses):
    run_cell(CELL.replace(" = {scale}", ""))
    with refuses(InvalidInput, "mine needs scale, which has no default; pass scale=..."):
        strategy_named("mine")
    assert strategy_named("mine", scale=3.0).scale == 3.0


def test_only_strategies_are_registered(registry, refuses):
    for value in (object, 3, lambda: None, type("NotFrozen", (), {})):
        with refuses(InvalidInput, "expected a dataclass that derives from distil.Strategy"):
            register("mine")(value)
        assert "mine" not in registry


# --- needs ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Changing(Measured):
    """A signal that is not frozen, and so has no hash."""

    def measure(self, forward):
        return forward.logits()


def test_invalid_needs_are_refused(refuses):
    for needs, parts in (
        (lambda self: Needs(), ("Mine.needs must be a distil.strategies.Needs, got method", "property")),
        (property(lambda self: None), ("Mine.needs must be a distil.strategies.Needs, got NoneType",)),
        (property(lambda self: (Probs(),)), ("Mine.needs must be a distil.strategies.Needs, got tuple",)),
        (property(lambda self: Needs(pool=Probs())), ("pool must be a tuple of signals", "got Probs()")),
        (property(lambda self: Needs(labeled=("probs",))), ("labeled must be a tuple of signals", "('probs',)")),
        (property(lambda self: Needs(pool=(Probs,))), ("pool must be a tuple of signals",)),
        (
            property(lambda self: Needs(query=(Changing(),))),
            ("query has ", "write @dataclass(frozen=True) above Changing"),
        ),
        (property(lambda self: Needs(shortlist=(MarginSampling(), 2))), ("shortlist must be a Shortlist or None",)),
        (property(lambda self: Needs(pool=(Labels(),))), ("pool asks for labels", "never read")),
        (property(lambda self: Needs(pool=(Gradient(labels="true"),))), ("pool asks for labels",)),
    ):
        mine = type("Mine", (ScoreStrategy,), {"needs": needs, "score": lambda self, sets: None})
        with refuses(InvalidInput, *parts):
            as_strategy(mine())


def test_evidence_is_signals(refuses):
    needs = Needs(pool=(Probs(),))
    mine = type("Mine", (ScoreStrategy,), {"needs": needs, "evidence": Probs(), "score": lambda self, sets: None})
    with refuses(InvalidInput, "Mine.evidence must be a tuple of signals", "got Probs()"):
        as_strategy(mine())


def test_invalid_shortlists_are_refused(refuses):
    for by, factor, message in (
        ("margin_sampling", 2, "by must be a ScoreStrategy, such as MarginSampling(), got 'margin_sampling'"),
        (BADGE(), 2, "by must be a ScoreStrategy"),
        (MarginSampling(), 0.5, "factor must be a number from 1, got 0.5"),
        (MarginSampling(), float("nan"), "factor must be a number from 1, got nan"),
        (MarginSampling(), "2", "factor must be a number from 1, got '2'"),
    ):
        with refuses(InvalidInput, message):
            Shortlist(by, factor)


def test_a_needs_that_raises_passes_through():
    def needs(self):
        raise ZeroDivisionError("mine")

    mine = type("Mine", (ScoreStrategy,), {"needs": property(needs), "score": lambda self, sets: None})
    with pytest.raises(ZeroDivisionError, match="mine"):
        as_strategy(mine())


def test_a_class_is_no_strategy(refuses):
    with refuses(InvalidInput, "got the class BADGE; pass BADGE()"):
        as_strategy(BADGE)


def test_attacks_keep_the_settings():
    assert AdversarialBIM(np.float64(0.1), np.int64(5)).attack == AdversarialBIM(0.1, 5).attack


def test_register_takes_the_name():
    with pytest.raises(InvalidInput, match=r'^expected @register\("name"\) with the name of the strategy, got <class'):
        register(STRATEGIES["badge"])


def test_the_fields_of_a_users_strategy_are_checked():
    @dataclasses.dataclass(frozen=True)
    class Own(Strategy):
        k: int = count(3)
        needs = Needs()

        def select(self, sets, n, rng):
            return sets.pool.ids[:n]

    assert Own(np.int64(2)) == Own(2)
    with pytest.raises(InvalidInput, match="Own: k must be a whole number from 1, got 'x'"):
        Own("x")


def test_a_misspelt_parameter_offers_the_nearest(refuses):
    for make, message in (
        (lambda: ProbCover(radious=2), "ProbCover has no parameter 'radious'; did you mean 'radius'"),
        (lambda: MarginSampling(temprature=2), "MarginSampling has no parameter 'temprature'; it has no parameters"),
        (lambda: GradMatch(sedd=3), "GradMatch has no parameter 'sedd'; it takes selection_type, part"),
    ):
        with refuses(InvalidInput, message):
            make()
    with pytest.raises(TypeError):
        ProbCover(1, 2, 0.5, 4)
    strategy = ProbCover(radius=2.0)
    assert copy.deepcopy(strategy) == pickle.loads(pickle.dumps(strategy)) == strategy

    class Own(ScoreStrategy):  # not a dataclass
        needs = Needs()

        def __init__(self, **options):
            self.options = options

        def score(self, sets):
            return sets.pool.ids

    assert Own(a=3).options == {"a": 3}
