"""DeepFool and BIM against closed forms and against plain loops over one example at a time."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from distil.errors import InvalidInput
from distil.functional import adversarial
from distil.functional.adversarial import BIM, Attack, DeepFool, bim, closeness, deepfool

SHAPES = [(7,), (3, 4), (2, 3, 5)]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def linear(shape, n_classes, seed=0, scale=1.0, dtype=torch.float32):
    """A linear classifier of inputs of that shape, with its weights (C, D)."""
    g = generator(seed)
    w = scale * torch.randn(n_classes, math.prod(shape), generator=g, dtype=dtype)
    b = scale * torch.randn(n_classes, generator=g, dtype=dtype)
    return lambda x: F.linear(x.flatten(1), w, b), w


def inputs(n, shape, seed=1, dtype=torch.float32):
    return torch.randn(n, *shape, generator=generator(seed), dtype=dtype)


def closed_form(f, x, w):
    """min_k |f_k - f_y| / ||w_k - w_y|| by NumPy in float64 from the logits as f gives them, and y."""
    logits, w = f(x).double().numpy(), w.double().numpy()
    y = logits.argmax(1)
    found = []
    for row, own in zip(logits, y, strict=True):
        others = [k for k in range(len(w)) if k != own]
        found.append(min(abs(row[k] - row[own]) / np.linalg.norm(w[k] - w[own]) for k in others))
    return np.array(found), y


@pytest.fixture(scope="module")
def mlp(seeded):
    """A trained 20-64-5 network."""
    return trained(seeded(nn.Sequential, nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5)), inputs(300, (20,), 5), 5)


@pytest.fixture(scope="module")
def cnn(seeded):
    """A trained small convolutional network of 1 x 8 x 8 images."""
    layers = [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, 4)]
    return trained(seeded(nn.Sequential, *layers), inputs(200, (1, 8, 8), 6), 4)


def trained(net, x, n_classes):
    target = x.flatten(1) @ torch.randn(x[0].numel(), n_classes, generator=generator(2))
    target = (target + 0.3 * target.roll(1, 1) ** 2).argmax(1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(x), target).backward()
        optimizer.step()
    optimizer.zero_grad()
    return net.eval()


# --- plain loops: one example, one class, one step at a time, in float64 ----------------------------------------------


def plain_deepfool(net, x, max_iter=50, overshoot=0.02):
    """Moosavi-Dezfooli et al. 2016, algorithm 2, tried with the overshoot: r (B, ...) and the number of steps."""
    ways, counts = [], []
    for one in x:
        r, steps = torch.zeros_like(one), 0
        y = int(net(one[None])[0].argmax())
        while steps < max_iter and int(net((one + (1 + overshoot) * r)[None])[0].argmax()) == y:
            point = (one + r).requires_grad_()
            logits = net(point[None])[0]
            gradients = [torch.autograd.grad(z, point, retain_graph=True)[0] for z in logits]
            logits = logits.tolist()
            nearest = (math.inf, None)
            for k in range(len(logits)):
                w = gradients[k] - gradients[y]
                if k != y and float(w.norm()) > 0:
                    nearest = min(nearest, (abs(logits[k] - logits[y]) / float(w.norm()), k))
            w = gradients[nearest[1]] - gradients[y]
            push = overshoot * float(r.norm()) if max(z for k, z in enumerate(logits) if k != y) >= logits[y] else 0
            r = r + (nearest[0] + push) * w / w.norm()
            steps += 1
        ways.append(r)
        counts.append(steps)
    return torch.stack(ways), counts


def plain_bim(net, x, eps=0.05, max_steps=1000):
    """Kurakin et al. 2017, section 2.2, with the gradient of the cross entropy itself."""
    ways, counts = [], []
    for one in x:
        eta, steps = torch.zeros_like(one), 0
        y = net(one[None]).argmax(1)
        while steps < max_steps and int(net((one + eta)[None]).argmax(1)) == int(y):
            point = (one + eta).requires_grad_()
            gradient = torch.autograd.grad(F.cross_entropy(net(point[None]), y), point)[0]
            eta = eta + eps * gradient.sign()
            steps += 1
        ways.append(eta)
        counts.append(steps)
    return torch.stack(ways), counts


def as_double(net):
    """The same network in float64, where the plain loops and the batched ones take the same turns."""
    copy = torch.nn.Sequential(*[type(layer).__new__(type(layer)) for layer in net])
    for layer, own in zip(copy, net, strict=True):
        layer.__dict__ = {**own.__dict__}
        layer._parameters = {k: nn.Parameter(v.detach().double()) for k, v in own._parameters.items() if v is not None}
        layer._parameters |= {k: None for k, v in own._parameters.items() if v is None}
        layer._buffers = {k: v.double() if v.is_floating_point() else v for k, v in own._buffers.items()}
    return copy


def test_deepfool_is_the_plain_loop(request, subtests):
    for which in ["mlp", "cnn"]:
        with subtests.test(which=which):
            net = as_double(request.getfixturevalue(which))
            x = inputs(40, (20,) if which == "mlp" else (1, 8, 8), 8, torch.float64)
            ways, counts = plain_deepfool(net, x)
            found = deepfool(net, x)
            assert bool(found.crossed.all())
            assert found.steps.tolist() == counts
            assert max(counts) > 1
            torch.testing.assert_close(found.perturbation, ways, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(found.distance, ways.flatten(1).norm(dim=1), rtol=1e-9, atol=1e-12)


def test_bim_is_the_plain_loop(request, subtests):
    for which, eps in itertools.product(["mlp", "cnn"], [0.05, 0.2]):
        with subtests.test(which=which, eps=eps):
            net = as_double(request.getfixturevalue(which))
            x = inputs(40, (20,) if which == "mlp" else (1, 8, 8), 8, torch.float64)
            ways, counts = plain_bim(net, x, eps, 200)
            found = bim(net, x, eps=eps, max_steps=200)
            assert bool(found.crossed.all())
            assert found.steps.tolist() == counts
            assert max(counts) > 1
            torch.testing.assert_close(found.perturbation, ways, rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(found.distance, ways.flatten(1).norm(dim=1), rtol=1e-9, atol=1e-12)


def test_a_batch_is_its_examples_one_by_one(request, subtests):
    for attack, which in itertools.product([deepfool, bim], ["mlp", "cnn"]):
        with subtests.test(attack=attack, which=which):
            net = request.getfixturevalue(which)
            x = inputs(30, (20,) if which == "mlp" else (1, 8, 8), 3)
            whole = attack(net, x)
            single = [attack(net, one[None]) for one in x]
            for name in ("perturbation", "distance", "gap", "crossed", "steps"):
                rows = torch.cat([getattr(one, name) for one in single])
                torch.testing.assert_close(getattr(whole, name), rows, rtol=1e-3, atol=1e-4)


# --- DeepFool ---------------------------------------------------------------------------------------------------------


def test_deepfool_is_exact_in_one_step_where_the_classifier_is_linear():
    for shape, n_classes, scale in itertools.product(SHAPES, [2, 3, 10], [1e-3, 1.0, 200.0]):
        f, w = linear(shape, n_classes, scale=scale)
        x = inputs(200, shape)
        expected, y = closed_form(f, x, w)
        found = deepfool(f, x)
        np.testing.assert_allclose(found.distance.numpy(), expected, rtol=1e-4, err_msg=str((shape, n_classes, scale)))
        assert found.distance.argsort().tolist() == np.argsort(expected).tolist(), (shape, n_classes, scale)
        assert found.perturbation.shape == x.shape, (shape, n_classes, scale)
        assert found.steps.tolist() == [1] * 200, (shape, n_classes, scale)
        assert bool(found.crossed.all()), (shape, n_classes, scale)
        assert bool((f(x + 1.02 * found.perturbation).argmax(1) != torch.from_numpy(y)).all()), (
            shape,
            n_classes,
            scale,
        )
        assert torch.equal(found.distance, deepfool(f, x, max_iter=1).distance), (shape, n_classes, scale)


def test_the_overshoot_is_not_part_of_the_distance():
    f, w = linear((6,), 4)
    x = inputs(50, (6,))
    for overshoot in (0, 0.02, 0.5):
        found = deepfool(f, x, overshoot=overshoot)
        np.testing.assert_allclose(found.distance.numpy(), closed_form(f, x, w)[0], rtol=1e-4)
        assert bool(found.crossed.all())
        along = (w[None] - w[f(x).argmax(1)][:, None]) @ found.perturbation[:, :, None]  # (B, C, 1)
        assert bool((along.amax((1, 2)) > 0).all())


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 5))
def test_deepfool_of_any_linear_classifier(seed, n_classes, n_features):
    f, w = linear((n_features,), n_classes, seed, dtype=torch.float64)
    x = inputs(6, (n_features,), seed + 1, torch.float64)
    np.testing.assert_allclose(deepfool(f, x).distance.numpy(), closed_form(f, x, w)[0], rtol=1e-6)


def test_perturbations_with_the_overshoot_change_the_prediction(seeded):
    for seed in range(4):
        net = seeded(nn.Sequential, nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 5), seed=seed)
        x = inputs(400, (20,), seed)
        trained(net, x[:300], 5)
        found = deepfool(net, x)
        flipped = net(x + 1.02 * found.perturbation).argmax(1) != net(x).argmax(1)
        assert flipped.float().mean() > 0.99, seed
        assert bool((flipped | ~found.crossed).all()), seed  # what is called crossed is
        not_yet = net(x + 0.9 * found.perturbation).argmax(1) == net(x).argmax(1)
        assert not_yet.float().mean() > 0.9, seed  # and not from far beyond the boundary


def test_where_the_boundary_bends_back_the_prediction_changes_all_the_same():
    """In two dimensions corners are near: about one in ten examples of this network reaches one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        net = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 3))
    x = inputs(400, (2,), 8)
    trained(net, x, 3)
    found = deepfool(net, x)
    flipped = net(x + 1.02 * found.perturbation).argmax(1) != net(x).argmax(1)
    assert flipped.float().mean() > 0.99
    assert torch.equal(flipped, found.crossed)


def test_classes_without_a_gradient_are_passed_over():
    def f(x):
        nearest_but_flat = x.sum(1) * 0 + 4.9
        return torch.stack([x[:, 0] + 5, nearest_but_flat, 2 * x[:, 1]], 1)

    x = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
    found = deepfool(f, x)
    assert bool(found.distance.isfinite().all())
    # f_0 - f_1 = x_0 + 0.1 with gradient e_0; f_0 - f_2 = x_0 + 5 - 2 x_1 with gradient (1, -2)
    torch.testing.assert_close(found.distance, torch.tensor([1.1, 0.6]).minimum(torch.tensor([2.0, 5.5]) / 5**0.5))
    flat = deepfool(lambda x: torch.stack([x[:, 0] + 5, x[:, 0] + 4.9, 2 * x[:, 1]], 1), x)  # no way from f_0 to f_1
    torch.testing.assert_close(flat.distance, torch.tensor([2.0, 5.5]) / 5**0.5)


def test_without_any_gradient_nothing_is_crossed():
    for f, attack in itertools.product(
        [
            lambda x: x.flatten(1)[:, :3] * 0 + torch.tensor([0.0, 2.0, 1.5]),
            lambda x: torch.tensor([[0.0, 2.0, 1.5]]).repeat(len(x), 1),  # no graph at all
            # A graph that does not contain x:
            lambda x: torch.tensor([[0.0, 2.0, 1.5]], requires_grad=True).repeat(len(x), 1),
            lambda x: F.relu(x.flatten(1)[:, :3] - 100) + torch.tensor([0.0, 2.0, 1.5]),
        ],
        [deepfool, bim],
    ):
        found = attack(f, inputs(5, (2, 3)))
        assert not bool(found.crossed.any()), (f, attack)
        assert found.distance.tolist() == [0] * 5, (f, attack)
        assert found.steps.tolist() == [0] * 5, (f, attack)
        assert found.gap.tolist() == [0.5] * 5, (f, attack)
        assert bool((found.perturbation == 0).all()), (f, attack)


def test_on_the_boundary_the_distance_is_zero():
    for attack in [deepfool, bim]:
        found = attack(lambda x: torch.stack([x[:, 0], x[:, 0], x[:, 1] - 50], 1), inputs(4, (2,)))
        assert bool(found.crossed.all()), attack
        assert found.distance.tolist() == [0] * 4, attack
        equal = attack(lambda x: x[:, :1].repeat(1, 3), inputs(4, (2,)))
        assert equal.distance.tolist() == [0] * 4, attack


@pytest.mark.parametrize("offset", [1.0, 1e3, 1e5])
def test_next_to_the_boundary_rounding_is_not_mistaken_for_distance(offset):
    """The step to the boundary is lost in x, or the gap in the logits: the example is next to the boundary all the same."""
    f = lambda x: torch.stack([x[:, 0] - offset, torch.zeros(len(x))], 1)  # noqa: E731
    x = torch.full((3, 1), offset)
    x[:, 0] = torch.nextafter(x[:, 0], torch.tensor(math.inf))
    found = deepfool(f, x)
    assert bool(found.crossed.all())
    assert bool((found.distance <= 4e-7 * offset).all())


def test_max_iter_is_kept_to(subtests):
    for max_iter in [1, 2, 3]:
        with subtests.test(max_iter=max_iter):
            f = lambda x: torch.stack([x[:, 0].exp(), torch.full((len(x),), 1e-6)], 1)  # noqa: E731 - Newton's steps are at most 1
            x = torch.linspace(0, 5, 6)[:, None]
            found = deepfool(f, x, max_iter=max_iter)
            assert found.steps.tolist() == [max_iter] * 6
            assert not bool(found.crossed.any())
            assert bool((found.gap > 0).all())
            torch.testing.assert_close(found.distance, torch.full((6,), float(max_iter)), rtol=1e-3, atol=1e-3)
            assert bool(deepfool(f, x, max_iter=100).crossed.all())


def test_too_far_a_step_is_not_taken():
    """Gradients so small that the step to the linearized boundary overflows."""
    f = lambda x: torch.stack([1 + 1e-30 * x[:, 0], 1e-30 * x[:, 1] ** 2], 1)  # noqa: E731
    found = deepfool(f, torch.full((2, 2), 1e10))
    assert bool(found.perturbation.isfinite().all())
    assert bool(found.distance.isfinite().all())
    assert bool(found.gap.isfinite().all())


# --- how gradients are taken ------------------------------------------------------------------------------------------


class NoVmap(torch.autograd.Function):
    """x^2, in a way that cannot be vectorized."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        assert gradient.numpy() is not None
        return 2 * x * gradient


def test_operations_that_vmap_does_not_know_are_looped_over():
    w = torch.randn(4, 5, generator=generator(0))
    x = inputs(30, (5,))
    plain, looped = (
        deepfool(lambda x, square=square: square(x) @ w.T + x @ w.T, x) for square in (torch.square, NoVmap.apply)
    )
    torch.testing.assert_close(plain.distance, looped.distance)
    assert torch.equal(plain.steps, looped.steps)


@pytest.mark.parametrize("n_bytes", [1, 500, 2000, 30_000])
def test_memory_is_kept_to_by_splitting_examples_and_classes(n_bytes, monkeypatch):
    f, w = linear((3, 4), 40)
    x = inputs(50, (3, 4))
    whole = deepfool(f, x)
    held = []
    original = adversarial._gradient

    def watched(outputs, z, direction, **options):
        found = original(outputs, z, direction, **options)
        held.append(4 * max(found.numel(), direction.numel()))
        return found

    monkeypatch.setattr(adversarial, "_gradient", watched)
    monkeypatch.setattr(adversarial, "BLOCK_BYTES", n_bytes)
    split = deepfool(f, x)
    assert max(held) <= max(n_bytes, 4 * 40)  # one class of one example at the least
    torch.testing.assert_close(split.distance, whole.distance)
    np.testing.assert_allclose(split.distance.numpy(), closed_form(f, x, w)[0], rtol=1e-4)


@pytest.mark.parametrize("attack", [deepfool, bim])
def test_finished_examples_are_not_computed_again(attack):
    w = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    sizes = []

    def f(x):
        sizes.append(len(x))
        return F.linear(x.pow(3) + x, w)

    attack(f, torch.tensor([[0.01, 0], [0.02, 0], [0.5, 0], [3, 0]]))
    assert sizes[0] == 4
    assert sizes[-1] == 1
    assert sizes == sorted(sizes, reverse=True)


def test_the_callers_gradient_mode_does_not_matter(mlp):
    for attack, context in itertools.product([deepfool, bim], [torch.no_grad, torch.inference_mode, torch.enable_grad]):
        expected = attack(mlp, inputs(10, (20,)))
        with context():
            x = inputs(10, (20,))
            found = attack(mlp, x)
        assert torch.equal(found.distance, expected.distance), (attack, context)
        assert not found.perturbation.requires_grad, (attack, context)


def test_nothing_but_the_argument_is_differentiated_and_nothing_is_changed(mlp, fingerprint):
    for attack in [deepfool, bim]:
        before = fingerprint(mlp)
        x = inputs(10, (20,)).requires_grad_()
        copy = x.detach().clone()
        attack(mlp, x)
        assert fingerprint(mlp) == before, attack
        assert x.grad is None, attack
        assert torch.equal(x, copy), attack


@pytest.mark.parametrize("attack", [deepfool, bim])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(attack, dtype):
    w = torch.randn(3, 5, generator=generator(0)).to(dtype)
    seen = set()

    def f(x):
        seen.add(x.dtype)
        return F.linear(x, w).to(torch.promote_types(dtype, torch.float32))

    x = inputs(20, (5,)).to(dtype)
    found = attack(f, x)
    assert seen == {dtype}
    assert found.distance.dtype == found.perturbation.dtype == torch.promote_types(dtype, torch.float32)
    expected = attack(lambda x: F.linear(x, w.double()), x.double())
    assert bool(found.crossed.all())
    assert float((found.distance.double() - expected.distance).abs().median()) < 0.02


def test_recurrent_layers(seeded, subtests):
    for attack in [deepfool, bim]:
        with subtests.test(attack=attack):

            class Recurrent(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layers, self.head = nn.LSTM(3, 6, batch_first=True), nn.Linear(6, 3)

                def forward(self, x):
                    return self.head(self.layers(x)[0][:, -1])

            net = seeded(Recurrent).eval()
            x = inputs(6, (5, 3))
            whole, single = attack(net, x), [attack(net, one[None]) for one in x]
            torch.testing.assert_close(
                whole.distance, torch.cat([one.distance for one in single]), rtol=1e-3, atol=1e-4
            )


# --- BIM --------------------------------------------------------------------------------------------------------------


def test_steps_of_bim_across_one_hyperplane(subtests):
    for eps, shape, scale in itertools.product(
        [0.01, 0.05, 0.3], SHAPES, [1e-3, 1.0, 200.0]
    ):  # at 200 the cross entropy and its gradient are exactly 0
        with subtests.test(eps=eps, shape=shape, scale=scale):
            f, w = linear(shape, 2, scale=scale, dtype=torch.float64)
            x = inputs(100, shape, dtype=torch.float64)
            logits = f(x)
            expected = ((logits[:, 0] - logits[:, 1]).abs() / (eps * (w[0] - w[1]).abs().sum())).ceil()
            found = bim(f, x, eps=eps)
            assert found.steps.tolist() == expected.tolist()
            assert bool(found.crossed.all())
            torch.testing.assert_close(found.distance, eps * expected * math.prod(shape) ** 0.5)
            order = (logits[:, 0] - logits[:, 1]).abs().argsort()
            assert bool((found.steps[order].diff() >= 0).all())


def test_equal_paths_of_bim_are_equally_long():
    """Whatever the inputs are: nothing is added up in floating point."""
    f, _ = linear((9,), 2)
    found = bim(f, inputs(200, (9,)))
    for n in found.steps.unique().tolist():
        assert len(found.distance[found.steps == n].unique()) == 1
    assert len(found.distance.unique()) == len(found.steps.unique())


def test_features_without_a_gradient_are_not_moved_by_bim():
    found = bim(lambda x: torch.stack([x[:, 0], -x[:, 0]], 1), inputs(10, (4,)))
    assert bool((found.perturbation[:, 1:] == 0).all())
    torch.testing.assert_close(found.distance, 0.05 * found.steps.float())


@pytest.mark.parametrize("max_steps", [1, 2, 7])
def test_max_steps_is_kept_to(max_steps):
    calls = []

    def f(x):
        calls.append(len(x))
        return torch.stack([x[:, 0] + 1e6, -x[:, 1]], 1)

    found = bim(f, inputs(3, (2,)), max_steps=max_steps)
    assert found.steps.tolist() == [max_steps] * 3
    assert not bool(found.crossed.any())
    assert len(calls) == max_steps + 1
    torch.testing.assert_close(found.distance, torch.full((3,), 0.05 * max_steps * 2**0.5))


def test_going_round_in_circles_ends():
    """The gap has a minimum above 0 that steps of 0.05 jump over, back and forth."""
    calls = []

    def f(x):
        calls.append(len(x))
        return torch.stack([1 + (x**2).sum(1), torch.zeros(len(x))], 1)

    found = bim(f, inputs(20, (3,)), max_steps=10**9)
    assert not bool(found.crossed.any())
    assert len(calls) < 400
    torch.testing.assert_close(found.gap, torch.ones(20), rtol=0, atol=0.01)


def test_bim_past_the_range_of_floating_point():
    f = lambda x: torch.stack([x[:, 0].exp() + 1, torch.zeros(len(x))], 1)  # noqa: E731
    found = bim(lambda x: -f(-x).flip(1), inputs(3, (2,)), eps=50.0, max_steps=5)
    for column in (found.perturbation, found.distance, found.gap):
        assert bool(column.isfinite().all())


# --- closeness --------------------------------------------------------------------------------------------------------


def rank(distance, gap):
    return closeness(torch.tensor(distance), torch.tensor(gap)).argsort(descending=True, stable=True).tolist()


def test_order_of_closeness():
    assert rank([3.0, 1.0, 2.0, 0.0], [-1.0, -1.0, -1.0, -1.0]) == [3, 1, 2, 0]
    assert rank([9.0, 0.1, 0.1, 9.0], [0.0, 2.0, 0.5, -1.0]) == [3, 0, 2, 1]  # not crossed: last, by the gap alone
    assert rank([2.0, 2.0, 2.0, 2.0], [-1.0, -3.0, -2.0, 0.0]) == [1, 2, 0, 3]  # ties: the deeper beyond the boundary


@given(
    st.lists(st.floats(0, 2.0**100, width=32, allow_subnormal=False), min_size=2, max_size=20),
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=20, max_size=20),
)
@example([0.0, torch.finfo(torch.float32).tiny], [0.0] * 20)
def test_closeness_is_a_finite_total_order(distances, gaps):
    distance, gap = torch.tensor(distances), torch.tensor(gaps[: len(distances)])
    score = closeness(distance, gap)
    assert score.dtype == torch.float64
    assert bool(score.isfinite().all())
    for i in range(len(distance)):
        for j in range(len(distance)):
            one, other = (bool(gap[i] <= 0), bool(gap[j] <= 0))
            if one and not other:
                assert score[i] > score[j]
            elif one and distance[i] < distance[j]:
                assert score[i] > score[j]  # whatever the gaps are
            elif not one and not other and gap[i] < gap[j]:
                assert score[i] > score[j]


def test_neighboring_distances_keep_their_order_whatever_the_gap():
    near = torch.tensor([1e-30, 0.05, 1.0, 1.9999999, 3.3e7])
    far = torch.nextafter(near, torch.tensor(math.inf))
    assert bool((closeness(near, torch.zeros(5)) > closeness(far, torch.full((5,), -1e30))).all())


# --- what is given ----------------------------------------------------------------------------------------------------


def test_no_examples():
    for attack in [deepfool, bim]:

        def never(x):
            raise AssertionError("called")

        found = attack(never, torch.empty(0, 3, 4))
        assert isinstance(found, Attack), attack
        assert found.perturbation.shape == (0, 3, 4), attack
        assert found.distance.shape == found.gap.shape == found.crossed.shape == found.steps.shape == (0,), attack


def test_logits_that_are_not_finite_have_no_distance():
    for attack in [deepfool, bim]:
        f, _ = linear((3,), 3)
        x = inputs(4, (3,))
        x[2, 0] = torch.nan
        found = attack(f, x)
        assert found.distance.isnan().tolist() == [False, False, True, False], attack
        assert found.crossed.tolist() == [True, True, False, True], attack


def test_what_cannot_be_attacked(subtests):
    for attack, x in itertools.product(
        [deepfool, bim], [torch.zeros(3), torch.zeros(3, 2).long(), np.zeros((3, 2)), None]
    ):
        with subtests.test(attack=attack, x=x), pytest.raises(InvalidInput, match=r"floating inputs \(B, \.\.\.\)"):
            attack(lambda x: x, x)


def test_what_are_no_logits(subtests):
    others = [lambda x: x[:, 0], lambda x: x[:, :1], lambda x: x[:2], lambda x: x[None]]
    for attack, f in itertools.product([deepfool, bim], others):
        with subtests.test(attack=attack, f=f), pytest.raises(InvalidInput, match=r"expected logits \(B, C\)"):
            attack(f, inputs(3, (4,)))


def test_impossible_settings(subtests):
    counts, sizes = [0, -1, 1.5, True, None, "3"], [-0.1, math.nan, math.inf, True, None, "3"]
    for build, name, expected, values in (
        (DeepFool, "max_iter", "a whole number from 1", counts),
        (BIM, "max_steps", "a whole number from 1", counts),
        (DeepFool, "overshoot", "a number from 0", sizes),
        (BIM, "eps", "a number above 0", [0, *sizes]),
    ):
        for value in values:
            with subtests.test(**{name: value}), pytest.raises(InvalidInput, match=f"{name} must be {expected}"):
                build(**{name: value})


def test_equal_settings_are_equal():
    assert DeepFool(np.int64(3), np.float32(0.5)) == DeepFool(3, 0.5)
    assert DeepFool() == DeepFool(50, 0.02)
    assert BIM() == BIM(0.05, 1000)
    assert len({DeepFool(), DeepFool(), DeepFool(9), BIM(), BIM(eps=0.1)}) == 4
