"""SMI, SCG and SCMI as strategies: the sets that they read, and what they say without them."""

import pytest
import torch

from distil.errors import InvalidInput, MissingSignal
from distil.functional.features import Dense
from distil.functional.similarity import cosine
from distil.functional.targeted import targeted
from distil.rng import Rng
from distil.selection.select import select, select_from
from distil.signals import Embedding, Gradient, Labels, Logits, Signals
from distil.strategies import SCG, SCMI, SMI
from distil.strategies.base import Sets


def table(n, seed, first_id=0):
    h = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))
    values = {Logits(): h @ torch.ones(5, 3).tril(), Embedding(): h, Labels(): torch.arange(n) % 3}
    return Signals(torch.arange(n) + first_id, values)


def test_picks_are_those_of_the_measure():
    pool, query, private = table(60, 0, first_id=100), table(4, 1), table(3, 2)
    sets = Sets(pool=pool, query=query, private=private)
    x, q, p = (Dense(each[Embedding()]) for each in (pool, query, private))
    cases = [
        (SMI(), targeted("flqmi", x, 5, cosine(), query=q)),
        (SMI(function="logdetmi", eta=0.5), targeted("logdetmi", x, 5, cosine(), query=q, eta=0.5)),
        (SCG(nu=0.3), targeted("flcg", x, 5, cosine(), private=p, nu=0.3)),
        (SCMI(eta=0.9, nu=0.2), targeted("flcmi", x, 5, cosine(), query=q, private=p, eta=0.9, nu=0.2)),
    ]
    for strategy, expected in cases:
        found = strategy.select(sets, 5, Rng(0))
        assert found.tolist() == (expected.rows + 100).tolist()
        assert found.reasons[0].endswith(f"in {strategy.function}")


def test_gradients_of_the_query_are_at_its_labels():
    pool, query = table(60, 0), table(4, 1)
    grads = pool[Gradient(part="all")], query[Gradient(part="all", labels="true")]
    expected = targeted("flqmi", grads[0], 5, cosine(), query=grads[1]).rows
    found = SMI(representation="gradient").select(Sets(pool=pool, query=query), 5, Rng(0))
    assert found.tolist() == expected.tolist()


def test_a_missing_set_is_named():
    pool, query = table(60, 0), table(4, 1)
    with pytest.raises(
        MissingSignal, match="SMI needs the query set, examples like those to find; pass query=, or --query"
    ):
        SMI().select(Sets(pool=pool), 5, Rng(0))
    with pytest.raises(MissingSignal, match="SCMI needs the private set, examples like those to avoid"):
        SCMI().select(Sets(pool=pool, query=query), 5, Rng(0))


def test_arrays_name_the_query_by_rows_or_by_embeddings():
    x = table(60, 0)[Embedding()]
    near, far = [3, 7], [11, 12]
    expected = select(SCMI(), torch.nn.Linear(5, 3), x, 6, query=near, private=far).tolist()
    assert select_from(SCMI(), 6, embeddings=x, query=near, private=far).tolist() == expected
    apart = select_from(SCMI(), 6, embeddings=x, query_embeddings=x[near], private_embeddings=x[far])
    assert apart.tolist() == expected
    names = [f"id {i}" for i in range(60)]
    named = select_from(SCMI(), 6, embeddings=x, query=["id 3", "id 7"], private={"id 11": 0, "id 12": 1}, names=names)
    assert named.tolist() == expected


def test_weights_that_a_determinant_cannot_have_are_refused_before_any_work():
    for build in (lambda: SMI(function="logdetmi", eta=2), lambda: SCG(function="logdetcg", nu=1.1)):
        with pytest.raises(InvalidInput, match="must be at most 1 for logdet"):
            build()
    assert SMI(function="com", eta=2).eta == 2
