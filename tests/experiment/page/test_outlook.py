"""What the report says in words, against the functions that the numbers come from and by hand where they are simple."""

import numpy as np

from distil.evaluation.curves import Curves
from distil.evaluation.forecast import forecast
from distil.experiment.page.outlook import outlook_of

LABELS = np.arange(1, 9) * 20
RANDOM = np.array([np.linspace(0.3, 0.65, 8) - 0.01, np.linspace(0.3, 0.65, 8) + 0.01])
FASTER = np.array([np.interp(2 * LABELS, LABELS, own) for own in RANDOM])  # twice as fast, then flat


def test_a_strategy_that_needs_half_the_labels():
    curves = {"random": Curves(LABELS, RANDOM), "faster": Curves(LABELS, FASTER)}
    first, second = outlook_of(curves, {"random": "random", "faster": "random"}, 20)
    margin = 100 * 12.706 * 0.01  # Student's t with one degree of freedom times the standard error
    assert (
        first
        == f"random: 65.0 % ({65 - margin:.1f} % to {65 + margin:.1f} %) with 160 labels; {forecast(LABELS, RANDOM, 20)}."
    )
    assert second.startswith(f"faster: 65.0 % ({65 - margin:.1f} % to {65 + margin:.1f} %) with 160 labels; ")
    assert second.endswith(" For 61.7 %, random needs 2.0 [2.0, 2.0] times as many labels.")


def test_one_seed_and_few_points_say_what_cannot_be_told():
    curves = {"random": Curves(LABELS[:3], RANDOM[:1, :3]), "faster": Curves(LABELS[:3], FASTER[:1, :3])}
    first, second = outlook_of(curves, {"random": "random", "faster": "random"}, 20)
    assert first == (
        "random: 39.0 % with 60 labels; cannot tell yet what 20 more labels would bring: it takes 5 points, and there are 3."
    )
    assert second.endswith(" times as many labels; one seed gives no interval.")


def test_nothing_is_said_without_curves():
    assert outlook_of({}, {}, 20) == []
