"""The saved state of a learner: it belongs to named items and classes, and loads into a pool only by these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distil.data.arrays import fingerprints, is_array, scalar
from distil.errors import InvalidInput, whole_number
from distil.selection.ids import IdReader
from distil.selection.pool import ASKED, LABELED, SKIPPED, Pool

_KEYS = ("pool", "round", "queries", "module", "names", "classes", "items")

_OTHER_ITEMS = 1e-4  # relative difference of fingerprints; embeddings that are computed again differ by about 1e-5


def state_of(reader: IdReader, pool: Pool, classes: Sequence[Any] | None) -> dict[str, Any]:
    """The entries of a state that say which items and classes it belongs to, and the state of the pool.

    Items are identified by their names. In a pool without names, ``items`` has a fingerprint of each example that is asked, labeled
    or skipped, if the data are an array.
    """
    names = None if reader.names is None else [scalar(name) for name in reader.names]
    state = pool.state_dict()
    known = names is None and is_array(reader.data)
    items = fingerprints(reader.data, _touched(state["states"])) if known else None
    return {"pool": state, "names": names, "classes": None if classes is None else list(classes), "items": items}


def checked_pool(
    state: Mapping[str, Any], reader: IdReader, pool: Pool, classes: Sequence[Any] | None
) -> dict[str, Tensor]:
    """The state of the pool in ``state``, with each item at the position that it has in ``pool``.

    Args:
        state: What should be the state of a learner.
        reader: The reader of this pool's ids.
        pool: This pool: items that are not in the state keep the state that they have in it.
        classes: This learner's names of the classes.

    Raises:
        InvalidInput: It is no state, or belongs to other items or classes; the message names one.
    """
    _check_form(state)
    _check_classes(state["classes"], classes)
    kept, names = state["pool"], state["names"]
    if not isinstance(kept, Mapping) or not all(isinstance(kept.get(key), Tensor) for key in ("states", "labels")):
        raise InvalidInput("the entry `pool` of the state is not the state of a pool; pass what state_dict() returned")
    if (names is None) != (reader.names is None):
        other = (
            "has no names, and those of this pool have"
            if names is None
            else "has names, and those of this pool have none"
        )
        raise InvalidInput(
            f"the state belongs to a pool whose examples {other.replace('has', 'have')}; pass the same names="
        )
    if names is None:
        _check_items(state["items"], kept["states"], reader)
        return dict(kept)
    rows = torch.tensor([reader.index.get(name, -1) for name in names], dtype=torch.long)
    lost = torch.isin(kept["states"], torch.tensor([ASKED, LABELED, SKIPPED])) & (rows < 0)
    if bool(lost.any()):
        first = names[int(lost.nonzero()[0])]
        raise InvalidInput(
            f"the state has an answer or a query for {int(lost.sum())} examples that are not in this pool, such as {first!r}; "
            "load it into a learner whose data has them"
        )
    own = pool.state_dict()
    for key, values in own.items():
        values[rows[rows >= 0]] = kept[key][rows >= 0]
    return own


def _check_form(state: object) -> None:
    if not isinstance(state, Mapping) or set(state) != set(_KEYS):
        got = f"a dict of {list(state)}" if isinstance(state, Mapping) else type(state).__name__
        raise InvalidInput(f"expected the state_dict() of a Learner, a dict of {', '.join(_KEYS)}; got {got}")


def checked_number(state: Mapping[str, Any], key: str) -> int:
    """The entry ``round`` or ``queries`` of a state."""
    number = whole_number(state[key], 0)
    if number is None:
        raise InvalidInput(f"the entry `{key}` of the state must be a whole number from 0, got {state[key]!r}")
    return number


def check_weights(module: object, weights: Mapping[str, Tensor] | None) -> None:
    """Refuse weights that do not fit, before any of them is loaded."""
    if weights is None:
        return
    own = module.state_dict() if isinstance(module, nn.Module) else {}
    for name in sorted({*own, *weights}):
        if name not in own or name not in weights:
            where = "this learner's model" if name in own else "the state"
            raise InvalidInput(f"the weights of the state are those of another model: only {where} has {name!r}")
        lazy = nn.parameter.is_lazy(own[name])
        if not lazy and own[name].shape != weights[name].shape:
            shapes = f"{tuple(weights[name].shape)} in the state and {tuple(own[name].shape)} in this learner's model"
            raise InvalidInput(f"the weights of the state are those of another model: {name!r} has shape {shapes}")


def _touched(states: Tensor) -> Tensor:
    return torch.isin(states, torch.tensor([ASKED, LABELED, SKIPPED])).nonzero()[:, 0]


def _check_classes(saved: Sequence[Any] | None, classes: Sequence[Any] | None) -> None:
    if saved != (None if classes is None else list(classes)):
        wanted = "without classes=" if saved is None else f"with classes={saved!r}"
        raise InvalidInput(
            f"the state belongs to a learner with other classes; make the learner {wanted}, or give a new learner the labels "
            "alone, new.label(old.labels)"
        )


def _check_items(items: Tensor | None, states: Tensor, reader: IdReader) -> None:
    """Refuse a pool without names whose examples are in another order, or are other ones."""
    touched = _touched(states)
    if items is None or len(items) == 0 or len(states) != reader.size:  # another size is refused by the pool
        return
    if not is_array(reader.data):
        raise InvalidInput(
            "the state belongs to a pool that is an array, and this one is a data set; pass the same data"
        )
    own = fingerprints(reader.data, touched)
    same = torch.isclose(own, items, rtol=_OTHER_ITEMS, atol=_OTHER_ITEMS * float(items.abs().max()))
    if not bool(same.all()):
        raise InvalidInput(
            f"the state belongs to other data, or to the same in another order: example {int(touched[~same][0])} has changed; load "
            "it into a learner of the same data, or use names= to identify the examples"
        )
