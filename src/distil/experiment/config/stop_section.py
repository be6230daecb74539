"""The section ``active_learning.stop``: the rules that end a run before its last round."""

from __future__ import annotations

from distil.evaluation.stopping import LabelBudget, LowUncertainty, SmallGain, StablePredictions, StopRule
from distil.experiment.config.faults import Faults
from distil.experiment.config.sections import ActiveLearning, Stop

WHERE = "active_learning.stop"
_RULES = ("kappa", "mean_uncertainty", "largest_uncertainty", "gain", "labels")
_NEEDS = {"window": ("kappa", "gain"), "ahead": ("gain",)}


def stop_rules(check: Faults, loop: ActiveLearning, *, validation: bool) -> tuple[StopRule, ...]:
    """The rules of a configuration, in the order in which they are asked; none if the section is left out or has a fault.

    Args:
        check: Takes the faults.
        loop: The section ``active_learning``.
        validation: Whether the data set has validation points.
    """
    if "stop" not in loop.model_fields_set:
        return ()
    n_faults = len(check.faults)
    own = check.section(WHERE, Stop, loop.stop)
    given = own.model_fields_set
    if len(check.faults) == n_faults:
        check.faults += _faults(own, validation)
    if len(check.faults) > n_faults:
        return ()
    rules: list[StopRule] = []
    if "kappa" in given:
        rules.append(StablePredictions(kappa=own.kappa, window=own.window))
    if given & {"mean_uncertainty", "largest_uncertainty"}:
        rules.append(LowUncertainty(mean=own.mean_uncertainty, largest=own.largest_uncertainty))
    if "gain" in given:
        rules.append(SmallGain(value=own.gain, ahead=own.ahead, window=own.window))
    if "labels" in given:
        rules.append(LabelBudget(labels=own.labels))
    return tuple(rules)


def _faults(own: Stop, validation: bool) -> list[str]:
    given = own.model_fields_set
    faults = [
        f"{WHERE}.{key} needs {WHERE}.{f' or {WHERE}.'.join(others)}"
        for key, others in _NEEDS.items()
        if key in given and not given & {*others}
    ]
    if not given & {*_RULES}:
        faults.append(f"{WHERE} must have at least one of {', '.join(_RULES)}")
    if "gain" in given and not validation:
        faults.append(f"{WHERE}.gain needs validation points: set dataset.validation_points")
    return faults
