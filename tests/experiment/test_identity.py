"""What a run belongs to: what a directory may gain leaves its identity, what changes an answer does not."""

from __future__ import annotations

import dataclasses

from distil.experiment.identity import identity_of, spec_of


def test_what_a_directory_may_gain_and_where_files_are_keeps_the_identity(case, config):
    made = config()
    own = identity_of(made, made.strategies[1], 1)
    for change in [
        {"active_learning__strategies": ["margin_sampling", "badge", "core_set"]},
        {"active_learning__rounds": 9},
        *({f"experiment__{key}": value} for key, value in [("seeds", 7), ("output", "else"), ("data", "where")]),
        {"experiment__target_accuracy": 0.9, "experiment__full_data": True, "experiment__trackers": ["tensorboard"]},
        {"experiment__ceiling": True},
        {"dataset__download": True},
    ]:
        with case(change):
            other = config(**change)
            assert identity_of(other, spec_of(other, "badge"), 1) == own


def test_what_changes_an_answer_changes_the_identity(case, config):
    made = config()
    spec = made.strategies[1]
    assert spec == spec_of(made, "badge")
    others = {
        "the seed": identity_of(made, spec, 2),
        "the strategy": identity_of(made, made.strategies[2], 1),
        "no strategy": identity_of(made, None, 1),
        "all data": identity_of(made, spec_of(made, "full_data"), 1),
        **{
            str(change): identity_of(made, dataclasses.replace(spec, **change), 1)
            for change in [{"args": {"eps": 0.1}}, {"label": "mine"}, {"retrain": "warm"}, {"candidates": 50}]
        },
        **{
            key: identity_of(config(**{key: value}), spec, 1)
            for key, value in [
                *(("train_parameters__lr", 0.2), ("model__hidden_units_1", 9), ("active_learning__budget", 7)),
                *(("dataset__test_points", 201), ("experiment__threads", 2), ("experiment__split_seed", 4)),
                ("active_learning__initial_points", 9),
            ]
        },
    }
    own = identity_of(made, spec, 1)
    assert len({own, *others.values()}) == len(others) + 1
    with case("the same again"):
        assert identity_of(config(), spec, 1) == own
