"""GLISTER against a last layer that is really updated, with autograd, in float64."""

import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch.nn.functional import cross_entropy

from distil.errors import InvalidInput
from distil.functional import glister as module
from distil.functional.features import Outer
from distil.functional.glister import Judges, glister
from distil.functional.gradients import cross_entropy_residual, residual

D, C = 6, 4


@pytest.fixture(autouse=True)
def _few_leading_directions(monkeypatch):
    """Lower the number of leading directions, so that these small embeddings have more than that."""
    monkeypatch.setattr(module, "_LEADING", 2)


class Layer:
    """A linear layer, a pool, a validation and a labeled set, all in float64."""

    def __init__(self, seed=0, n=60, v=40, m=12, distinct=None, scale=1.0, shift=0.0):
        g = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(C, D, generator=g).double() * scale
        self.bias = torch.randn(C, generator=g).double()
        rows = torch.randn(distinct or n, D, generator=g).double() + shift
        self.pool = rows.repeat(-(-n // len(rows)), 1)[:n]
        self.val, self.labeled = torch.randn(v, D, generator=g).double(), torch.randn(m, D, generator=g).double()
        self.y_val = torch.randint(C, (v,), generator=g)
        self.y_labeled = torch.randint(C, (m,), generator=g)
        self.y_pool = self.logits(self.pool).argmax(1)

    def logits(self, h, weight=None, bias=None):
        return h @ (self.weight if weight is None else weight).T + (self.bias if bias is None else bias)

    def gradients(self, h, y, dtype=torch.float32, loss=None):
        z = self.logits(h)
        a = cross_entropy_residual(z.softmax(1), y) if loss is None else residual(z, y, loss)
        return Outer(a.to(dtype), h.to(dtype), True)

    def judges(self, h, y, dtype=torch.float32):
        return Judges(self.logits(h).to(dtype), h.to(dtype), y)

    def select(self, n, dtype=torch.float32, **options):
        options = {"lr": 0.05, **options}
        x = self.gradients(self.pool, self.y_pool, dtype, options.get("loss"))
        return glister(x, [self.judges(self.val, self.y_val, dtype)], n, **options).tolist()


def mean_loss(layer, weight, bias, loss=cross_entropy):
    return loss(layer.logits(layer.val, weight, bias), layer.y_val)


def gradient_by_autograd(f, *parameters):
    parameters = [p.clone().requires_grad_() for p in parameters]
    return torch.autograd.grad(f(*parameters), parameters)


def pool_gradients(layer, loss=cross_entropy):
    """Of each row, weight (N, C, D) and bias (N, C), by autograd."""
    found = [
        gradient_by_autograd(
            lambda w, b, h=h, y=y: loss(layer.logits(h[None], w, b), y[None]), layer.weight, layer.bias
        )
        for h, y in zip(layer.pool, layer.y_pool, strict=True)
    ]
    return torch.stack([w for w, _ in found]), torch.stack([b for _, b in found])


def brute(layer, n, lr, bonus=lambda picks: 0.0, labeled=False, loss=cross_entropy):
    """The greedy with the layer updated after every pick; ``bonus(picks)`` is added to the gains, (N,)."""
    weights, biases = pool_gradients(layer, loss)
    weight, bias = layer.weight, layer.bias
    if labeled:
        dw, db = gradient_by_autograd(
            lambda w, b: loss(layer.logits(layer.labeled, w, b), layer.y_labeled), weight, bias
        )
        weight, bias = weight - lr * dw, bias - lr * db
    picks = []
    for _ in range(n):
        dw, db = gradient_by_autograd(lambda w, b: mean_loss(layer, w, b, loss), weight, bias)
        gains = lr * ((weights * dw).sum((1, 2)) + (biases * db).sum(1)) + bonus(picks)
        gains[picks] = -torch.inf
        near = gains.abs().max() if not picks else gains[gains.isfinite()].abs().max()
        picks.append(int(torch.nonzero(gains >= gains.max() - 1e-9 * near)[0, 0]))
        weight, bias = weight - lr * weights[picks[-1]], bias - lr * biases[picks[-1]]
    return picks


def sq_dists(layer):
    weights, biases = pool_gradients(layer)
    rows = torch.cat([biases, weights.flatten(1)], 1)
    return ((rows[:, None] - rows[None]) ** 2).sum(2)


# --- the gain is the fall of the validation loss ------------------------------------------------------------------------


def test_the_first_pick_lowers_the_validation_loss_most():
    for labeled in [False, True]:
        lr = 1e-3
        for seed in range(8):
            layer = Layer(seed)
            weight, bias = layer.weight, layer.bias
            if labeled:
                dw, db = gradient_by_autograd(
                    lambda w, b, at=layer: cross_entropy(at.logits(at.labeled, w, b), at.y_labeled), weight, bias
                )
                weight, bias = weight - lr * dw, bias - lr * db
            steps = zip(*pool_gradients(layer), strict=True)
            before = mean_loss(layer, weight, bias)
            falls = torch.stack([before - mean_loss(layer, weight - lr * dw, bias - lr * db) for dw, db in steps])
            given = layer.gradients(layer.labeled, layer.y_labeled) if labeled else None
            assert layer.select(1, lr=lr, labeled=given) == [int(falls.argmax())], labeled
            state = module._LastLayer([layer.judges(layer.val, layer.y_val)], lr, True, None)
            if labeled:
                state.step(given.combine(torch.full((12,), 1 / 12)))
            gains = layer.gradients(layer.pool, layer.y_pool, torch.float64).project(state.gradient())
            assert scipy.stats.spearmanr(gains, falls).statistic > 0.99, labeled


def test_picks_are_those_of_a_layer_that_is_updated():
    for dtype, lr, labeled in itertools.product([torch.float32, torch.float64], [0.01, 0.3], [False, True]):
        for seed in range(3):
            layer = Layer(seed)
            given = layer.gradients(layer.labeled, layer.y_labeled, dtype) if labeled else None
            assert layer.select(15, dtype, lr=lr, labeled=given) == brute(layer, 15, lr, labeled=labeled), (
                dtype,
                lr,
                labeled,
            )


def naive(a, h, bias, judges, n, lr):
    """The greedy on logits in float64, without matrices of weights: a step along a h^T changes those of h_V by a <h, h_V>."""
    logits, h_val, y = (t.double().numpy() for t in (judges.logits, judges.embeddings, judges.y))
    a, h = a.double().numpy(), h.double().numpy()
    reach = h @ h_val.T + bias  # (N, V)
    picks = []
    for _ in range(n):
        residuals = scipy.special.softmax(logits, 1) - np.eye(a.shape[1])[y.astype(int)]
        gains = ((a @ residuals.T) * reach).mean(1)
        gains[picks] = -np.inf
        picks.append(int(gains.argmax()))
        logits = logits - lr * reach[picks[-1]][:, None] * a[picks[-1]]
    return picks


@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1.0, 1e15, 1e30])
def test_picks_are_those_of_the_definition_at_every_scale(scale):
    """With steps that move the logits as much as at scale 1: without a bias, the picks are those of scale 1."""
    layer = Layer(3)
    for bias, labeled in itertools.product([False, True], [False, True]):
        lr = 0.05 / (max(1.0, scale**2) if bias else scale**2)
        a, h = layer.gradients(layer.pool, layer.y_pool).a, (layer.pool * scale).float()
        judges = Judges(layer.logits(layer.val).float(), (layer.val * scale).float(), layer.y_val)
        known, moved = None, judges
        if labeled:
            known = Outer(layer.gradients(layer.labeled, layer.y_labeled).a, (layer.labeled * scale).float(), bias)
            reach = known.b.double() @ judges.embeddings.double().T + bias  # (m, V)
            step = lr * (reach.T @ known.a.double()) / len(known)
            moved = Judges(judges.logits.double() - step, judges.embeddings, judges.y)
        expected = naive(a, h, bias, moved, 12, lr)
        assert glister(Outer(a, h, bias), [judges], 12, lr=lr, labeled=known).tolist() == expected, (bias, labeled)
        if not bias:
            unit = Outer(a, layer.pool.float(), False), [Judges(judges.logits, layer.val.float(), layer.y_val)]
            own = None if known is None else Outer(known.a, layer.labeled.float(), False)
            assert glister(*unit, 12, lr=0.05, labeled=own).tolist() == expected


class Wide:
    """A pool and judges in float32 whose embeddings have a few large directions and many small ones."""

    def __init__(self, seed, n=3000, c=5, d=40, decay=0.5, bias=True):
        g = torch.Generator().manual_seed(seed)
        scales = torch.arange(1, d + 1).float() ** -decay
        h = (torch.randn(n + 200, d, generator=g) * scales + scales[0]) @ torch.linalg.qr(
            torch.randn(d, d, generator=g)
        ).Q
        z = h @ torch.randn(d, c, generator=g)
        a = cross_entropy_residual(z.softmax(1), z.argmax(1))
        self.x = Outer(a[:n], h[:n], bias)
        self.judges = [Judges(z[n:], h[n:], torch.randint(c, (200,), generator=g))]

    def select(self, n, **options):
        return glister(self.x, self.judges, n, **{"lr": 0.02, **options}).tolist()


def test_looking_at_few_rows_picks_what_looking_at_all_does(monkeypatch):
    for type_of, decay, bias in itertools.product(["none", "Diversity"], [0.0, 0.5, 2.0], [False, True]):
        with monkeypatch.context() as patch:
            pool = Wide(int(bias), decay=decay, bias=bias)
            patch.setattr(module, "_LEADING", 4)
            few = pool.select(30, type_of=type_of, lam=0.01)
            patch.setattr(module, "_LEADING", 1000)
            assert few == pool.select(30, type_of=type_of, lam=0.01), (type_of, decay, bias)


@pytest.mark.parametrize(("decay", "fewest", "most"), [(2.0, 1, 2), (0.0, 2, 10)])
def test_few_rows_are_looked_at(decay, fewest, most, monkeypatch):
    """Hardly ever all of them, where a few directions hold nearly all and where they do not."""
    looks = []
    original = module._Steps._update_all
    monkeypatch.setattr(module._Steps, "_update_all", lambda self, v: (looks.append(1), original(self, v))[1])
    Wide(0, decay=decay).select(100)
    assert fewest <= len(looks) <= most


def test_estimated_gains_are_as_near_as_they_say(monkeypatch):
    for decay, bias, step in itertools.product([0.0, 1.0, 4.0], [False, True], [1e-6, 1.0]):
        with monkeypatch.context() as patch:
            patch.setattr(module, "_LEADING", 4)
            for seed in range(5):
                x = Wide(seed, n=500, decay=decay, bias=bias).x
                steps = module._Steps(x, module._NoRegularizer(x, 0.0, 0))
                g = torch.Generator().manual_seed(seed)
                at = torch.randn(5, 40 + bias, generator=g).double()
                steps._update_all(at)
                now = at + step * torch.randn(5, 40 + bias, generator=g).double()
                gains, unsure = steps._estimates(now)
                exact = Outer(x.a.double(), x.b.double(), bias).project(now)
                assert bool(((gains - exact).abs() <= unsure).all()), (decay, bias, step)
                assert (
                    float(unsure.max())
                    < 2 * float(Outer(x.a, x.b, bias).sq_norms().max().sqrt() * (now - at).norm()) + 1e-3
                ), (decay, bias, step)


def test_leading_directions_hold_most():
    x = torch.randn(4000, 50, generator=torch.Generator().manual_seed(0)) * 0.8 ** torch.arange(50)
    basis = module._leading_directions(x, 8)
    torch.testing.assert_close(basis.T @ basis, torch.eye(8).double())
    held = float((x.double() @ basis).norm() ** 2)
    assert held > 0.97 * float((torch.linalg.svdvals(x.double())[:8] ** 2).sum())
    assert module._leading_directions(torch.zeros(30, 9), 4).shape == (9, 4)


def test_duplicates_go_to_the_smaller_row():
    layer = Layer(distinct=5)
    assert layer.select(30, lr=0.3) == brute(layer, 30, 0.3)


def test_shifted_logits_are_those_of_the_updated_layer():
    layer = Layer()
    x = layer.gradients(layer.pool, layer.y_pool, torch.float64)
    state = module._LastLayer([layer.judges(layer.val, layer.y_val, torch.float64)], 0.2, True, None)
    weight, bias = layer.weight, layer.bias
    for row in (3, 41, 3, 17, 59):
        state.step_along(x.a[row], x.b[row])
        weight, bias = weight - 0.2 * torch.outer(x.a[row], x.b[row]), bias - 0.2 * x.a[row]
    torch.testing.assert_close(state._parts[0].logits, layer.logits(layer.val, weight, bias))
    dw, db = gradient_by_autograd(lambda w, b: mean_loss(layer, w, b), weight, bias)
    torch.testing.assert_close(state.gradient(), torch.cat([db[:, None], dw], 1))


def test_the_validation_loss_falls_more_than_for_random_picks():
    lr = 0.05
    for seed in range(5):
        layer = Layer(seed, n=200)
        weights, biases = pool_gradients(layer)

        def loss_after(picks, layer=layer, weights=weights, biases=biases):
            weight, bias = layer.weight - lr * weights[picks].sum(0), layer.bias - lr * biases[picks].sum(0)
            return float(mean_loss(layer, weight, bias))

        picks = layer.select(10, lr=lr)
        losses = [loss_after(picks[:k]) for k in range(11)]
        assert all(after < before for before, after in itertools.pairwise(losses[:4]))
        rng = np.random.default_rng(seed)
        assert losses[-1] < min(loss_after(rng.choice(200, 10, replace=False)) for _ in range(100))


def test_another_loss():
    def squares(z, y):
        return ((z - torch.eye(C, dtype=z.dtype)[y]) ** 2).sum(1).mean()

    layer = Layer()
    assert layer.select(10, loss=squares) == brute(layer, 10, 0.05, loss=squares)


def test_a_validation_set_may_come_in_parts():
    layer = Layer()
    x = layer.gradients(layer.pool, layer.y_pool)
    parts = [layer.judges(layer.val[rows], layer.y_val[rows]) for rows in (slice(0, 7), slice(7, 40), slice(40, 40))]
    assert glister(x, parts, 12, lr=0.05).tolist() == layer.select(12)
    with pytest.raises(InvalidInput, match="at least one example in judges"):
        glister(x, parts[2:], 12, lr=0.05)


def test_log_probabilities_serve_as_logits():
    layer = Layer()
    x, logits = layer.gradients(layer.pool, layer.y_pool), layer.logits(layer.val).float()
    judges = Judges(logits.log_softmax(1), layer.val.float(), layer.y_val)
    assert glister(x, [judges], 12, lr=0.05).tolist() == layer.select(12)


def test_gradients_without_bias():
    layer = Layer()
    x = layer.gradients(layer.pool, layer.y_pool)
    x = Outer(x.a, x.b)
    direction = layer.gradients(layer.val, layer.y_val, torch.float64).combine(torch.ones(40).double())[:, 1:]
    first = glister(x, [layer.judges(layer.val, layer.y_val)], 3, lr=0.05)[0]
    assert int(first) == int(Outer(x.a.double(), x.b.double()).project(direction).argmax())


def test_arguments_are_left_alone():
    layer = Layer()
    x, judges = layer.gradients(layer.pool, layer.y_pool), layer.judges(layer.val, layer.y_val)
    before = [t.clone() for t in (x.a, x.b, judges.logits, judges.embeddings)]
    glister(x, [judges], 5, lr=0.5, labeled=layer.gradients(layer.labeled, layer.y_labeled))
    assert all(map(torch.equal, before, (x.a, x.b, judges.logits, judges.embeddings)))


def test_n_distinct_rows_whatever_the_data():
    for type_of, kind, n in itertools.product(
        module.TYPES, ["plain", "duplicated", "all equal", "saturated", "zero"], [1, 17, 40]
    ):
        distinct = {"duplicated": 6, "all equal": 1}.get(kind)
        layer = Layer(n=40, distinct=distinct, scale=500.0 if kind == "saturated" else 1.0)
        x = layer.gradients(layer.pool, layer.y_pool)
        if kind == "zero":
            x = Outer(torch.zeros_like(x.a), x.b, True)
        generator = torch.Generator().manual_seed(0)
        rows = glister(
            x, [layer.judges(layer.val, layer.y_val)], n, lr=0.1, type_of=type_of, lam=0.5, generator=generator
        )
        assert rows.shape == (n,), (type_of, kind, n)
        assert len(set(rows.tolist())) == n, (type_of, kind, n)
        assert 0 <= int(rows.min()) <= int(rows.max()) < 40, (type_of, kind, n)


# --- regularizers -------------------------------------------------------------------------------------------------------


def test_rand_keeps_the_first_greedy_picks():
    for lam, n in itertools.product([0.01, 0.5, 0.99], [1, 10, 59, 60]):
        layer = Layer()
        greedy = n - round(lam * n)
        drawn = [
            layer.select(n, type_of="Rand", lam=lam, generator=torch.Generator().manual_seed(seed))
            for seed in (0, 1, 0)
        ]
        first = layer.select(n)[:greedy]
        assert all(picks[:greedy] == first for picks in drawn), (lam, n)
        assert all(len(set(picks)) == n for picks in drawn), (lam, n)
        assert drawn[0] == drawn[2], (lam, n)
        assert (drawn[0] == drawn[1]) == (n - greedy == 0 or (n == 60 and n - greedy == 1)), (lam, n)


def test_rand_draws_uniformly_from_what_is_left():
    layer = Layer(n=12)
    kept = layer.select(2)
    counts = np.zeros(12)
    for seed in range(500):
        picks = layer.select(4, type_of="Rand", lam=0.5, generator=torch.Generator().manual_seed(seed))
        counts[picks[2:]] += 1
    assert counts[kept].sum() == 0
    assert scipy.stats.chisquare(np.delete(counts, kept)).pvalue > 1e-3


@pytest.mark.parametrize("lam", [1e-4, 0.01, 10.0])
@pytest.mark.parametrize("distinct", [None, 9])
def test_diversity_is_the_brute_force(lam, distinct):
    layer = Layer(distinct=distinct)
    similar = torch.exp(-sq_dists(layer) / 2)

    def bonus(picks):
        return -lam * similar[:, picks].sum(1)

    assert layer.select(25, type_of="Diversity", lam=lam) == brute(layer, 25, 0.05, bonus)


def test_much_diversity_takes_duplicates_last():
    layer = Layer(n=60, distinct=12, scale=3.0)
    layer.pool = layer.pool * 30  # gradients far from each other, where they are not almost 0
    layer.y_pool = layer.logits(layer.pool).argmax(1).add(1) % C
    picks = layer.select(12, type_of="Diversity", lam=1e6)
    assert len({p % 12 for p in picks}) == 12
    assert len({p % 12 for p in layer.select(12)}) < 12


def test_facility_location_is_the_brute_force(monkeypatch):
    for lam, distinct, shift in itertools.product([1e-6, 1e-4, 1.0, 1e4], [None, 9], [0.0, 20.0]):
        with monkeypatch.context() as patch:
            patch.setattr(module, "BLOCK_BYTES", 8 * 60 * 4)  # four rows are looked at a time
            layer = Layer(distinct=distinct, shift=shift)
            dists = sq_dists(layer)

            def bonus(picks, lam=lam, dists=dists):
                nearest = dists[:, picks].amin(1) if picks else dists.max()
                gains = lam * (nearest - dists).clamp_min(0).sum(1)
                return gains - gains.max() if not picks else gains

            assert layer.select(25, type_of="FacLoc", lam=lam) == brute(layer, 25, 0.05, bonus), (lam, distinct, shift)


def test_facility_location_only_grows_and_ever_more_slowly():
    layer = Layer()
    dists = sq_dists(layer)
    picks = layer.select(60, type_of="FacLoc", lam=1e9)
    served = [float((dists.max() - dists[:, picks[:k]].amin(1)).sum()) for k in range(1, 61)]
    gains = np.diff([0.0, *served])
    assert np.all(gains >= 0)
    assert np.all(np.diff(gains) <= 1e-9 * gains[0])


def test_facility_location_looks_at_few_rows(monkeypatch):
    """After the second pick; before it there are no bounds to go by."""
    looked = []
    update = module._FacilityLocation._update
    monkeypatch.setattr(
        module._FacilityLocation, "_update", lambda self, rows: (looked.append(len(rows)), update(self, rows))[1]
    )
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 400 * 4)
    layer = Layer(n=400)
    layer.select(2, type_of="FacLoc", lam=1.0)
    first = sum(looked)
    looked.clear()
    layer.select(22, type_of="FacLoc", lam=1.0)
    assert sum(looked) - first < 0.3 * 20 * 400


# --- memory -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_stays_far_below_written_out_gradients():
    """10,000 x 50 x 129 numbers would be 258 MB; the factors are 7.2 MB.

    The peak is that of the process's own memory: ``ru_maxrss`` would begin at what the process that starts it has.
    """
    for call in ["gradmatch", "weights", "glister", "diversity"]:
        script = """
            import sys, torch
            from distil.functional.features import Outer
            from distil.functional.glister import Judges, glister
            from distil.functional.matching import fixed_weight_matching, mean_row, orthogonal_matching_pursuit
            torch.set_num_threads(1)

            def peak():
                with open("/proc/self/status") as status:
                    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

            a, b = torch.randn(10000, 50), torch.randn(10000, 128)
            x, small = Outer(a, b, True), Outer(a[:50], b[:50], True)
            calls = {
                "gradmatch": lambda x: fixed_weight_matching(x, mean_row(x) * 20, 20),
                "weights": lambda x: orthogonal_matching_pursuit(x, mean_row(x) * len(x), 20),
                "glister": lambda x: glister(x, [Judges(x.a, x.b, torch.zeros(len(x), dtype=torch.long))], 20, lr=0.01),
                "diversity": lambda x: glister(
                    x, [Judges(x.a, x.b, torch.zeros(len(x), dtype=torch.long))], 20, lr=0.01, type_of="Diversity", lam=1.0
                ),
            }
            calls[sys.argv[1]](small)  # what a first call loads is not what is measured
            before = peak()
            calls[sys.argv[1]](x)
            factored = peak()
            x.dense()
            print(factored - before, peak() - before)
        """
        found = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), call],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        factored, written_out = (int(kilobytes) / 1024 for kilobytes in found.stdout.split())
        assert factored < 80 < 200 < written_out, call
