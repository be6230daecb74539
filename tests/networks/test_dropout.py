"""Monte-Carlo dropout: the same masks however the pool is cut, and the law that ``model.train()`` gives."""

import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from distil.errors import DistilWarning
from distil.measuring.network_source import NetworkSource
from distil.networks.dropout import DRAW_BLOCK, Draw, SampledDropout, _binary, example_axes, unreachable_dropout
from distil.networks.torch_network import TorchNetwork
from distil.networks.trunk import RecordedTrunk, Survey
from distil.rng import Rng
from distil.signals import MCProbs
from distil.system.runtime import Runtime

RNG = Rng(0).child("samples")


def draw_for(ids, shared=False, rng=RNG):
    return Draw(rng, torch.as_tensor(ids), shared)


def drop(function, x, p, ids=None, shared=False, axis=0):
    """What a dropout function gives while sampling is on, for examples of these ids along that axis of x."""
    with SampledDropout(draw_for(range(len(x)) if ids is None else ids, shared), [axis]):
        return function(x, p, training=False)


def sampled(module, x, ids, n_samples=4, batch_size=1000, shared=False, seed=0):
    """(N, K, C) of a pool that is cut into minibatches."""
    source = NetworkSource(TorchNetwork(module), x, torch.as_tensor(ids))
    signal = MCProbs(n_samples, shared)
    return source.table((signal,), Runtime(batch_size=batch_size), Rng(seed))[signal]


# --- the masks ------------------------------------------------------------------------------------------------------


def test_masks_belong_to_ids(case):
    for shape in [(), (5,), (3, 70)]:
        for p in [0.5, 0.3]:
            with case(shape, p):
                ids = torch.tensor([0, 3, DRAW_BLOCK - 1, DRAW_BLOCK, 5 * DRAW_BLOCK + 7, 2, 10**9, 3])
                together = draw_for(ids).kept(1, shape, p)
                assert together.shape == (8, *shape)
                assert together.dtype == torch.uint8
                alone = torch.cat([draw_for(ids[i : i + 1]).kept(1, shape, p) for i in range(8)])
                backwards = draw_for(ids.flip(0)).kept(1, shape, p).flip(0)
                assert torch.equal(together, alone)
                assert torch.equal(together, backwards)
                assert torch.equal(together[1], together[7])
                if len(shape) == 2:
                    assert len(together.flatten(1).unique(dim=0)) == 7


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30))
def test_masks_of_any_ids_are_rows_of_the_masks_of_all(ids):
    everything = draw_for(range(3001)).kept(2, (9,), 0.25)
    assert torch.equal(draw_for(ids).kept(2, (9,), 0.25), everything[ids])


def test_masks_are_independent_between_places_samples_streams_examples_and_units(case):
    for p in [0.5, 0.25, 0.1]:
        with case(p):
            ids = range(400)
            kept = [
                draw_for(ids).kept(1, (100,), p),
                draw_for(ids).kept(2, (100,), p),
                draw_for(ids).child(0).kept(1, (100,), p),
                draw_for(ids).child(1).kept(1, (100,), p),
                draw_for(ids, rng=Rng(1)).kept(1, (100,), p),
                draw_for(ids, shared=True).kept(1, (100,), p).expand(400, 100),
            ]
            own = kept[0]
            others = [*kept[1:], own.roll(1, 0), own.roll(1, 1), own.roll(64, 1), own.roll(DRAW_BLOCK, 0)]
            for other in others:
                table = np.histogram2d(own.flatten().numpy(), other.flatten().numpy(), 2)[0]
                assert scipy.stats.chi2_contingency(table).pvalue > 1e-4
            both = (own & own.roll(1, 1) & own.roll(2, 1)).double().mean()  # three neighbors at once
            assert float(both) == pytest.approx((1 - p) ** 3, abs=4 * (0.25 / 40000) ** 0.5)


def test_masks_keep_at_their_rate(case):
    for p in [1e-3, 0.1, 0.25, 1 / 3, 0.5, 0.625, 0.9, 0.999]:
        with case(p):
            kept = draw_for(range(4000)).kept(1, (250,), p)
            assert set(kept.unique().tolist()) == {0, 1}
            assert scipy.stats.binomtest(int(kept.sum()), kept.numel(), 1 - p).pvalue > 1e-3
            for counts, n in ((kept.sum(0), 4000), (kept.sum(1), 250)):  # of every unit, and of every example
                expected = scipy.stats.binom(n, 1 - p)
                spread = float(((counts.double() - expected.mean()) ** 2).mean() / expected.var())
                assert spread == pytest.approx(1, abs=5 * (2 / len(counts)) ** 0.5 + 0.05)


def test_digits_of_a_probability():
    assert _binary(0.5) == [1]
    assert _binary(0.25) == [1, 0]
    assert _binary(0.75) == [1, 1]
    assert _binary(0.625) == [1, 0, 1]
    for p in np.linspace(1e-5, 1 - 1e-5, 97):
        digits = _binary(p)
        assert digits[0] == 1
        assert sum(d / 2 ** (len(digits) - i) for i, d in enumerate(digits)) == pytest.approx(p, abs=2**-17)
    assert _binary(1e-12) == [1] + [0] * 15  # never all, never none
    assert _binary(1 - 1e-12) == [1] * 16


def test_shared_masks_are_one_row_whatever_the_ids():
    one = draw_for(range(5), shared=True).kept(1, (3, 2), 0.5)
    assert one.shape == (1, 3, 2)
    assert torch.equal(one, draw_for([900], shared=True).kept(1, (3, 2), 0.5))


# --- the functions --------------------------------------------------------------------------------------------------


def test_dropout_keeps_at_its_rate_and_scales(case):
    for p in [0.1, 0.5, 0.8]:
        with case(p):
            x = torch.full((1000, 50), 3.0)
            out = drop(F.dropout, x, p)
            kept = out != 0
            np.testing.assert_allclose(out[kept], 3 / (1 - p), rtol=1e-6)
            assert scipy.stats.binomtest(int(kept.sum()), kept.numel(), 1 - p).pvalue > 1e-3
            assert torch.equal(x, torch.full((1000, 50), 3.0))


def test_the_ends_of_p_are_those_of_torch(case):
    for function in [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout]:
        for p in [0.0, 1.0]:
            with case(function, p):
                dims = {F.dropout1d: 3, F.dropout3d: 5}.get(function, 4)
                x = torch.randn(4, 3, *[2] * (dims - 2), generator=torch.Generator().manual_seed(0))
                assert torch.equal(drop(function, x, p), function(x, p, training=True))


def test_channelwise_dropout_drops_whole_channels(case):
    for function, dims in [(F.dropout1d, 3), (F.dropout2d, 4), (F.dropout2d, 3), (F.dropout3d, 5)]:
        with case(function, dims):
            x = torch.rand(400, 6, *[3] * (dims - 2)) + 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns about 3-D input of dropout2d
                out = drop(function, x, 0.3)
            kept = (out != 0).flatten(2)
            assert torch.equal(kept.all(2), kept.any(2))
            share = kept[:, :, 0]
            assert scipy.stats.binomtest(int(share.sum()), share.numel(), 0.7).pvalue > 1e-3
            np.testing.assert_allclose(out[out != 0], (x / 0.7)[out != 0], rtol=1e-6)
            assert 0 < share.double().mean(1).var() < 0.1  # channels are dropped one by one, not example by example


def test_alpha_dropout_keeps_mean_and_variance_and_writes_torchs_value(case):
    for p in [0.2, 0.6]:
        with case(p):
            x = torch.randn(2000, 100, generator=torch.Generator().manual_seed(0))
            out = drop(F.alpha_dropout, x, p).double()
            assert out.mean().item() == pytest.approx(0, abs=0.02)
            assert out.var().item() == pytest.approx(1, abs=0.03)
            values, counts = np.unique(out.numpy(), return_counts=True)
            dropped = values[counts.argmax()]
            assert scipy.stats.binomtest(int(counts.max()), x.numel(), p).pvalue > 1e-3
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                theirs = F.alpha_dropout(x, p, training=True)
            their_values, their_counts = np.unique(theirs.numpy(), return_counts=True)
            assert dropped == pytest.approx(their_values[their_counts.argmax()], rel=1e-5)
            both = (out != dropped) & (theirs != their_values[their_counts.argmax()])
            np.testing.assert_allclose(out[both], theirs[both], rtol=1e-4, atol=1e-5)


def test_feature_alpha_dropout_drops_whole_channels():
    x = torch.randn(300, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    out = drop(F.feature_alpha_dropout, x, 0.4)
    constant = (out == out[:, :, :1, :1]).flatten(2).all(2)
    assert scipy.stats.binomtest(int(constant.sum()), constant.numel(), 0.4).pvalue > 1e-3
    assert out.mean().item() == pytest.approx(0, abs=0.08)
    assert out.var().item() == pytest.approx(1, abs=0.1)


def test_modules_in_evaluation_mode_drop(case):
    for layer in [nn.Dropout(0.5), nn.Dropout(0.5, inplace=True), nn.AlphaDropout(0.5)]:
        with case(layer):
            layer.eval()
            x = torch.ones(64, 32)
            with SampledDropout(draw_for(range(64))) as mode:
                out = layer(x.clone())
            assert mode.n_sites == 1
            assert 0.3 < (out != out.max()).double().mean() < 0.7
            assert torch.equal(layer(x.clone()), x)  # and stop afterwards


def test_a_rate_given_by_keyword():
    with SampledDropout(draw_for(range(100))):
        out = F.dropout(input=torch.ones(100, 100), p=0.9)
        default = F.dropout(torch.ones(100, 100))
    assert (out != 0).double().mean() == pytest.approx(0.1, abs=0.02)
    assert (default != 0).double().mean() == pytest.approx(0.5, abs=0.02)


def test_precision_is_kept():
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert drop(F.dropout, torch.ones(4, 5, dtype=dtype), 0.5).dtype == dtype


def test_rows_that_belong_to_one_example_have_masks_of_their_own(case):
    """(B r, D): r rows of an example, as patches or tokens that were flattened."""
    for repeats in [1, 3]:
        with case(repeats):
            ids = [7, 300, 2, 9]
            x = torch.ones(4 * repeats, 40)
            together = drop(F.dropout, x, 0.5, ids)
            alone = torch.cat([drop(F.dropout, x[:repeats], 0.5, [i]) for i in ids])
            assert torch.equal(together, alone)
            assert len({tuple(row.tolist()) for row in together}) == 4 * repeats


def test_sequence_first_masks_belong_to_examples():
    ids = [7, 300, 2, 9]
    x = torch.ones(6, 4, 20)  # (S, B, D)
    together = drop(F.dropout, x, 0.5, ids, axis=1)
    alone = torch.cat([drop(F.dropout, x[:, :1], 0.5, [i], axis=1) for i in ids], 1)
    assert torch.equal(together, alone)
    assert len({tuple(row.tolist()) for row in together.flatten(0, 1)}) == 24


def test_the_axis_of_examples_is_the_one_that_grows_with_them():
    two = [(2, 8), (5, 2, 8), (10, 8), (7, 30), (2, 2)]
    three = [(3, 8), (5, 3, 8), (15, 8), (7, 30), (3, 3)]
    assert example_axes(two, three) == (0, 1, 0, None, None)


def test_a_tensor_without_an_example_axis_has_one_mask_and_is_counted():
    with SampledDropout(draw_for(range(4))) as mode:
        out = F.dropout(torch.ones(7, 30), 0.5)
    assert mode.n_unaligned == 1
    with SampledDropout(draw_for([50, 60, 70])):
        assert torch.equal(F.dropout(torch.ones(7, 30), 0.5), out)


def test_shared_masks_are_equal_for_all_examples(case):
    for function, shape in [(F.dropout, (30,)), (F.dropout, (5, 6)), (F.dropout2d, (9, 2, 2))]:
        with case(function, shape):
            out = drop(function, torch.ones(8, *shape), 0.5, shared=True)
            assert bool((out == out[:1]).all())
            assert 0 < (out != 0).double().mean() < 1
            other = drop(function, torch.ones(3, *shape), 0.5, ids=[900, 5, 31], shared=True)
            assert torch.equal(other, out[:3])


def test_shared_masks_of_sequence_first_and_repeated_rows():
    out = drop(F.dropout, torch.ones(6, 4, 20), 0.5, ids=range(4), shared=True, axis=1)  # (S, B, D)
    assert bool((out == out[:, :1]).all())
    assert not bool((out == out[:1]).all())
    rows = drop(F.dropout, torch.ones(12, 20), 0.5, ids=range(4), shared=True).reshape(4, 3, 20)  # (B r, D)
    assert bool((rows == rows[:1]).all())
    assert not bool((rows == rows[:, :1]).all())


# --- whole networks -------------------------------------------------------------------------------------------------


class FunctionalNet(nn.Module):
    """Dropout in the forward method, switched by the mode, as many people write it; linear between."""

    def __init__(self, dims=10):
        super().__init__()
        self.one = nn.Linear(dims, 16)
        self.two = nn.Linear(16, 3)

    def forward(self, x):
        return self.two(F.dropout(self.one(x), 0.5, self.training))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Dropout2d(0.3), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.head = nn.Sequential(nn.AlphaDropout(0.2), nn.Linear(32, 5))

    def forward(self, x):
        return self.head(self.body(x))


class Recurrent(nn.Module):
    """Sequence first inside, with dropout on (S, B, D)."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(3, 12)
        self.drop = nn.Dropout(0.4)
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        return self.head(self.drop(self.cell(x.transpose(0, 1))[0])[-1])


class FlattenedTokens(nn.Module):
    """Dropout on (B S, D): the tokens of all examples, one below the other."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        rows = x.view(-1, x.shape[2])  # which asks for consecutive memory, as many models do
        return self.head(F.dropout(rows, 0.5, self.training)).view(len(x), x.shape[1], 3).mean(1)


NETS = {
    "functional": (FunctionalNet, (10,)),
    "convolutional": (ConvNet, (1, 6, 6)),
    "sequence first": (Recurrent, (9, 3)),
    "flattened": (FlattenedTokens, (5, 8)),
}


@pytest.fixture(params=list(NETS))
def net_and_pool(request, seeded):
    build, shape = NETS[request.param]
    return seeded(build).eval(), torch.randn(310, *shape, generator=torch.Generator().manual_seed(0))


def test_samples_do_not_depend_on_minibatches(case, net_and_pool):
    for shared in [False, True]:
        with case(shared):
            net, pool = net_and_pool
            whole = sampled(net, pool, range(310), shared=shared)
            assert whole.shape[:2] == (310, 4)
            assert (whole[:, 0] - whole[:, 1]).abs().max() > 1e-3
            for batch_size, first in ((1, DRAW_BLOCK - 10), (7, DRAW_BLOCK - 50), (64, 0)):
                part = sampled(
                    net, pool, range(first, 310 if first == 0 else 270), batch_size=batch_size, shared=shared
                )
                torch.testing.assert_close(part, whole[first : first + len(part)])


def test_samples_do_not_depend_on_the_other_examples(net_and_pool):
    net, pool = net_and_pool
    whole = sampled(net, pool, range(310))
    ids = [300, 4, 255, 256, 17]
    torch.testing.assert_close(sampled(net, pool, ids), whole[ids])


def test_a_minibatch_as_long_as_another_axis(case, seeded):
    """If two axes are as long as the minibatch, the shape alone does not identify the axis of examples."""
    for case_id, (build, shape, length) in zip(
        ["sequence first", "flattened"], [(Recurrent, (9, 3), 9), (FlattenedTokens, (5, 8), 8)], strict=True
    ):
        with case(case_id):
            net, pool = seeded(build).eval(), torch.randn(30, *shape, generator=torch.Generator().manual_seed(0))
            torch.testing.assert_close(sampled(net, pool, range(30), batch_size=length), sampled(net, pool, range(30)))


def test_masks_are_independent_between_examples(seeded):
    """Equal examples at different ids have different samples; with one shared mask, equal ones."""
    net = seeded(FunctionalNet).eval()
    pool = torch.ones(50, 10)
    own = sampled(net, pool, range(50), n_samples=1)[:, 0]
    assert len({tuple(row.tolist()) for row in own}) == 50
    shared = sampled(net, pool, range(50), n_samples=1, shared=True)[:, 0]
    torch.testing.assert_close(shared, shared[:1].expand(50, 3))


def test_samples_follow_the_law_of_training_mode(seeded):
    """Many samples of one example against many passes of ``model.train()``."""
    net = seeded(FunctionalNet)
    x = torch.randn(1, 10, generator=torch.Generator().manual_seed(0))
    ours = sampled(net.eval(), x.repeat(1500, 1), range(1500), n_samples=1)[:, 0]
    net.train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        theirs = net(x.repeat(1500, 1)).softmax(1)
    for c in range(3):
        assert scipy.stats.ks_2samp(ours[:, c], theirs[:, c]).pvalue > 1e-3


def test_the_mean_of_the_logits_of_a_linear_network_is_the_evaluation_output(seeded):
    net = seeded(FunctionalNet).eval()
    x = torch.randn(2, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net(x)
        with SampledDropout(draw_for(range(8000))):
            found = net(x.repeat(4000, 1)).reshape(4000, 2, 3)
    error = found.std(0) / 4000**0.5
    assert bool(((found.mean(0) - expected).abs() < 4 * error).all())


def test_normalization_stays_in_evaluation_mode(small_net):
    net = small_net().train()
    before = {name: b.clone() for name, b in net.named_buffers()}
    pool = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * 100
    one_by_one = sampled(net, pool, range(40), batch_size=1)  # BatchNorm in training mode refuses a single row
    torch.testing.assert_close(one_by_one, sampled(net, pool, range(40)))
    for name, buffer in net.named_buffers():
        assert torch.equal(buffer, before[name])
    assert all(layer.training for layer in net.modules())


def test_a_network_without_dropout_warns_once_and_gives_its_output(seeded):
    net = seeded(nn.Sequential, nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    pool = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    network = TorchNetwork(net)
    source = NetworkSource(network, pool, torch.arange(20))

    def measure(batch_size):
        return source.table((MCProbs(3),), Runtime(batch_size=batch_size), Rng(0))[MCProbs(3)]

    with pytest.warns(
        DistilWarning, match="Sequential has no dropout that can be sampled, so all samples are eq"
    ) as caught:
        found = measure(5)  # four minibatches
    assert len(caught) == 1
    assert torch.equal(measure(5), found)  # a second warning would be an error here
    torch.testing.assert_close(
        measure(20), found
    )  # products of 20 rows and of 5 are rounded otherwise on some processors
    assert torch.equal(found, found[:, :1].expand_as(found))
    with torch.no_grad():
        torch.testing.assert_close(found, net(pool).softmax(1)[:, None].expand(20, 3, 3))


def test_dropout_of_rate_zero_is_no_dropout(small_net):
    pool = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    with pytest.warns(DistilWarning, match="no dropout that can be sampled"):
        found = sampled(small_net(p=0.0), pool, range(20))
    assert torch.equal(found, found[:, :1].expand_as(found))


# --- dropout inside fused kernels -----------------------------------------------------------------------------------


class Attending(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=p, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.attention(x, x, x)[0].mean(1))


class Encoding(nn.Module):
    def __init__(self, batch_first=True):
        super().__init__()
        self.first = batch_first
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=batch_first)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.layer(x).mean(1)) if self.first else self.head(self.layer(x.transpose(0, 1)).mean(0))


class Remembering(nn.Module):
    def __init__(self, kind=nn.LSTM, n_layers=2, p=0.4):
        super().__init__()
        self.cell = kind(8, 8, n_layers, dropout=p, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


TOKENS = torch.randn(24, 5, 8, generator=torch.Generator().manual_seed(0))


def test_dropout_out_of_reach_is_named(case, seeded):
    for build, arguments, name in [
        (Attending, (0.4,), "attention"),
        (Remembering, (), "cell"),
        (Remembering, (nn.GRU, 3), "cell"),
    ]:
        with case(build, arguments, name):
            net = seeded(build, *arguments).eval()
            message = f"no dropout that can be sampled, .* dropout that cannot be reached: {name}$"
            with pytest.warns(DistilWarning, match=message) as caught:
                found = sampled(net, TOKENS, range(24))
            assert len(caught) == 1
            assert torch.equal(found, found[:, :1].expand_as(found))


def test_a_transformer_layer_is_sampled_but_for_its_attention(case, seeded):
    for batch_first in [True, False]:
        with case(batch_first):
            net = seeded(Encoding, batch_first).eval()
            message = r"part of Encoding's dropout stays off .*cannot be reached: layer\.self_attn$"
            with pytest.warns(DistilWarning, match=message):
                whole = sampled(net, TOKENS, range(24), batch_size=24)
            assert (whole[:, 0] - whole[:, 1]).abs().max() > 1e-3
            for batch_size in (1, 7, 16):
                with pytest.warns(DistilWarning, match=message):
                    parts = sampled(net, TOKENS, range(24), batch_size=batch_size)
                torch.testing.assert_close(parts, whole)


class Fused(nn.Module):
    """As attention in timm: the fused kernel reads the rate of a layer that is not called."""

    def __init__(self, p, named=True):
        super().__init__()
        self.p, self.attn_drop = p, nn.Dropout(p) if named else nn.Identity()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        p = self.p if self.training else 0.0
        return self.head(F.scaled_dot_product_attention(x, x, x, dropout_p=p).mean(1))


class Scaled(nn.Module):
    """As layers of transformers, which keep the rate as a number."""

    def __init__(self):
        super().__init__()
        self.attention_dropout, self.head = 0.1, nn.Linear(8, 3)

    def forward(self, x):
        return self.head(F.scaled_dot_product_attention(x, x, x).mean(1))


class DropPath(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop_prob, self.head = 0.2, nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x.mean(1))


def test_dropout_that_a_fused_kernel_hides_is_named(case):
    x = torch.randn(6, 5, 8)
    for net, named in [
        (Fused(0.1), "cannot be reached: attn_drop$"),
        (Fused(0.1, named=False), "cannot be reached: that of scaled_dot_product_attention, if it has any$"),
        (Scaled(), "cannot be reached: Scaled$"),
        (DropPath(), "cannot be reached: DropPath$"),
    ]:
        with case(named), pytest.warns(DistilWarning, match=f"all samples are equal; dropout that {named}"):
            sampled(net.eval(), x, range(6))


def test_unreachable_dropout(case):
    for net, names in [
        (Attending(0.0), []),
        (Attending(0.1), ["attention"]),
        (Remembering(n_layers=1, p=0.0), []),
        (Remembering(), ["cell"]),
        (nn.LSTM(2, 2, 2, dropout=0.5), ["LSTM"]),
        (nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2)), []),
    ]:
        with case(net, names):
            assert (
                unreachable_dropout(net, [layer for layer in net.modules() if isinstance(layer, nn.Dropout)]) == names
            )


def test_a_recurrent_network_with_other_dropout_is_sampled_in_part(seeded):
    net = seeded(lambda: nn.Sequential(Remembering(), nn.Dropout(0.5), nn.Linear(3, 3))).eval()
    with pytest.warns(DistilWarning, match=r"part of Sequential's dropout stays off .*: 0\.cell$"):
        found = sampled(net, TOKENS, range(24))
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3


def test_masks_without_an_example_axis_are_reported(seeded):
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = nn.Parameter(torch.ones(5, 8))
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.head((x + F.dropout(self.positions, 0.5, self.training)).mean(1))

    with pytest.warns(DistilWarning, match="1 dropout calls of Positions see tensors without an example axis"):
        found = sampled(seeded(Positions).eval(), TOKENS, range(24))
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3


# --- the trunk is computed once -------------------------------------------------------------------------------------


class Computed(TorchDispatchMode):
    """Counts the products and convolutions that are computed."""

    def __init__(self):
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.n += func._schema.name in {"aten::addmm", "aten::mm", "aten::bmm", "aten::convolution"}
        return func(*args, **(kwargs or {}))


class Mlp(nn.Sequential):
    """One product before the first dropout, three behind."""

    def __init__(self):
        hidden = [nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.25)]
        super().__init__(*hidden, nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))


class ChannelsNet(nn.Module):
    """Dropout2d before max pooling and ReLU, written as people do."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.drop = nn.Conv2d(1, 5, 3), nn.Conv2d(5, 6, 3), nn.Dropout2d(0.4)
        self.head = nn.Linear(24, 4)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.one(x), 2))
        x = F.relu(F.max_pool2d(self.drop(self.two(x)), 2))
        return self.head(F.dropout(x.view(x.size(0), -1), 0.5, self.training))


class PooledTwice(ChannelsNet):
    """What is dropped is used as it is, too: the dropout may not be moved behind the pooling."""

    def forward(self, x):
        dropped = self.drop(self.two(F.relu(self.one(x))))
        return self.head((F.max_pool2d(dropped, 5) + dropped.mean((2, 3), keepdim=True)).flatten(1))[:, :4]


class Residual(nn.Module):
    """Dropout inside of blocks, with normalization; the trunk's results skip over the dropout."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(10, 12), nn.BatchNorm1d(12), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 12), nn.GELU(), nn.Dropout(0.3), nn.Linear(12, 12))
            for _ in range(3)
        )
        self.head = nn.Linear(12, 4)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class CalledTwice(nn.Module):
    """One module before and behind the dropout."""

    def __init__(self):
        super().__init__()
        self.body, self.drop, self.head = nn.Linear(10, 10), nn.Dropout(0.5), nn.Linear(10, 3)

    def forward(self, x):
        return self.head(self.drop(self.body(self.drop(self.body(self.body(x))).relu())))


class TwoInputs(nn.Module):
    """Several tensors out of one call, indexing, and Python numbers on the way."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(10, 12), nn.Linear(4, 3)

    def forward(self, x):
        a, b, c = self.body(x).chunk(3, dim=1)
        a = a * torch.sigmoid(b) + torch.zeros(x.shape[0], 4) + float(self.body.bias.abs().max())
        a[:, 0] = 1.0
        return self.head(F.dropout(a, 0.5, self.training) + c)


class Pair(nn.Module):
    """Returns an embedding from before the dropout as well."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(10, 8), nn.Linear(8, 3)

    def forward(self, x):
        hidden = torch.relu_(self.body(x))  # in place, in the trunk
        return self.head(F.dropout(hidden, 0.5, self.training)), hidden


class InPlace(nn.Module):
    """Adds to a result of the trunk in place."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(10, 8), nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.body(x)
        hidden += F.dropout(hidden, 0.5, self.training)
        return self.head(hidden)


class Stateful(nn.Module):
    """Its passes differ by what was before."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(10, 8), nn.Linear(8, 3)
        self.memory = torch.zeros(8)

    def forward(self, x):
        hidden = self.body(x) + self.memory
        self.memory = self.memory + 1
        return self.head(F.dropout(hidden, 0.5, self.training))


class Alternating(nn.Module):
    """Takes another way in every other pass."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(10, 8), nn.Linear(8, 3)
        self.n = 0

    def forward(self, x):
        self.n += 1
        hidden = self.body(x)
        hidden = hidden.tanh() if self.n % 2 else hidden.sin()
        return self.head(F.dropout(hidden, 0.5, self.training))


def attending():
    layer = nn.TransformerEncoderLayer(10, 2, 16, dropout=0.3, batch_first=True)
    layer.self_attn.dropout = 0.0  # which could not be reached
    return nn.Sequential(nn.Unflatten(1, (1, 10)), nn.Linear(10, 10), layer, nn.Flatten(), nn.Linear(10, 3))


# build, shape of an example, products and convolutions of the trunk and of all
ONCE = {
    "mlp": (Mlp, (10,), 1, 4),
    "channels": (ChannelsNet, (1, 16, 16), 2, 3),
    "pooled twice": (PooledTwice, (1, 14, 14), 2, 3),
    "residual": (Residual, (10,), 2, 8),
    "called twice": (CalledTwice, (10,), 2, 4),
    "two inputs": (TwoInputs, (10,), 1, 2),
    "pair": (Pair, (10,), 1, 2),
    "functional": (FunctionalNet, (10,), 1, 2),
    "attention": (attending, (10,), None, None),
    "sequence first": (Recurrent, (9, 3), None, None),
    "inputs": (lambda: nn.Sequential(nn.Dropout(0.3), nn.Linear(10, 4)), (10,), 0, 1),
}
WHOLE = {"in place": InPlace, "stateful": Stateful, "alternating": Alternating}


def whole_passes(net, x, ids, n_samples, shared=False):
    """K forward passes under the same masks."""
    with torch.no_grad():
        axes = [1] if isinstance(net, Recurrent) else [0] * 9
        samples = []
        for k in range(n_samples):
            draw = Draw(Rng(0).child("samples", k), ids, shared)
            with SampledDropout(draw, axes):
                out = net(x)
            samples.append((out[0] if isinstance(out, tuple) else out).softmax(1))
    return torch.stack(samples, 1)


def ask_for_samples(network, x, ids, n_samples, shared=False):
    with network.asking(Runtime()):
        return network.sample(x, n_samples, Draw(Rng(0).child("samples"), ids, shared))


def test_computing_the_trunk_once_equals_whole_passes(case, seeded, fingerprint):
    for shared in [False, True]:
        for name in list(ONCE):
            with case(shared, name):
                build, shape, n_trunk, n_all = ONCE[name]
                net = seeded(build).train()
                before = fingerprint(net)
                network = TorchNetwork(net)
                pool = torch.randn(64, *shape, generator=torch.Generator().manual_seed(0))
                for rows in (torch.arange(20), torch.arange(20, 64), torch.tensor([7])):
                    found = ask_for_samples(network, pool[rows], rows, 5, shared)
                    net.eval()
                    torch.testing.assert_close(
                        found, whole_passes(net, pool[rows], rows, 5, shared), rtol=1e-5, atol=1e-6
                    )
                    net.train()
                assert fingerprint(net) == before
                if n_all is not None:
                    with Computed() as computed:
                        ask_for_samples(network, pool, torch.arange(64), 5, shared)
                    assert computed.n == n_trunk + 5 * (n_all - n_trunk)


def test_whole_passes_are_made_if_the_trunk_differs_between_passes(case, seeded):
    for name in list(WHOLE):
        with case(name):
            net = seeded(WHOLE[name]).eval()
            network = TorchNetwork(net)
            x, ids = torch.randn(20, 10, generator=torch.Generator().manual_seed(0)), torch.arange(20)
            ask_for_samples(network, x[:3], ids[:3], 2)
            with Computed() as computed:
                net.memory, net.n = torch.zeros(8), 0
                found = ask_for_samples(network, x, ids, 4)
            assert computed.n == 8
            net.memory, net.n = torch.zeros(8), 0
            torch.testing.assert_close(found, whole_passes(net, x, ids, 4))


def test_randomness_of_a_networks_own_is_drawn_in_every_pass(seeded):
    class Noisy(FunctionalNet):
        def forward(self, x):
            return super().forward(self.one(x).relu() @ self.one.weight + torch.randn(len(x), 10))

    with torch.random.fork_rng(devices=[]):
        net = seeded(Noisy).eval()
        with Computed() as computed:
            found = ask_for_samples(TorchNetwork(net), torch.zeros(300, 10), torch.arange(300), 30)
    assert computed.n >= 30 * 4
    assert float(found.var(1).mean()) > 1e-3


def test_calls_that_depend_on_the_data(seeded):
    class Branching(FunctionalNet):
        def forward(self, x):
            if bool((x > 50).any()):
                x = x.clamp(max=1).sin()
            hidden = self.one(x)
            dropped = F.dropout(hidden, 0.5, self.training)
            return self.two(dropped + hidden if bool((x < -50).any()) else dropped)

    net = seeded(Branching).eval()
    network = TorchNetwork(net)
    pool = torch.randn(30, 10, generator=torch.Generator().manual_seed(0))
    pool[10:20] += 60
    pool[20:] -= 60
    for rows in torch.arange(30).split(10):
        found = ask_for_samples(network, pool[rows], rows, 4)
        torch.testing.assert_close(found, whole_passes(net, pool[rows], rows, 4))


def test_attributes_that_a_forward_pass_sets_have_numbers(seeded):
    class Keeps(FunctionalNet):
        def forward(self, x):
            self.features = self.one(x)
            self.positive = self.features.relu()
            return self.two(F.dropout(self.positive, 0.5, self.training))

    net = seeded(Keeps).eval()
    x = torch.randn(12, 10, generator=torch.Generator().manual_seed(0))
    network = TorchNetwork(net)
    for _ in range(2):
        ask_for_samples(network, x, torch.arange(12), 3)
        torch.testing.assert_close(net.features, net.one(x).detach())


def test_buffers_that_grow_with_every_pass_are_restored(seeded, fingerprint):
    class Remembers(FunctionalNet):
        def __init__(self):
            super().__init__()
            self.register_buffer("bank", torch.zeros(0, 16))

        def forward(self, x):
            self.bank = torch.cat([self.bank, self.one(x)])[-30:]
            return super().forward(x)

    net = seeded(Remembers).eval()
    before = fingerprint(net)
    pool = torch.randn(25, 10, generator=torch.Generator().manual_seed(0))
    found = sampled(net, pool, range(25), batch_size=10)
    assert fingerprint(net) == before
    net.__class__ = FunctionalNet
    torch.testing.assert_close(found, sampled(net, pool, range(25)))


def test_an_error_of_the_network_is_raised(seeded, fingerprint):
    class Fails(FunctionalNet):
        def forward(self, x):
            hidden = self.one(x)
            if len(x) > 9:
                raise ValueError("too many")
            return self.two(F.dropout(hidden, 0.5, self.training))

    net = seeded(Fails).train()
    before = fingerprint(net)
    network = TorchNetwork(net)
    ask_for_samples(network, torch.zeros(5, 10), torch.arange(5), 3)
    with pytest.raises(ValueError, match="too many"):
        ask_for_samples(network, torch.zeros(12, 10), torch.arange(12), 3)
    assert fingerprint(net) == before


def test_only_results_used_after_the_trunk_are_kept(seeded):
    """Of a deep trunk one result; a skip over the dropout keeps its source."""
    deep = nn.Sequential(*[nn.Linear(10, 10) for _ in range(6)], nn.ReLU(), nn.Dropout(0.5), nn.Linear(10, 3))
    for net, n_kept in ((deep, 1), (seeded(Residual), 2), (seeded(ChannelsNet), 1)):
        x = torch.zeros(4, 1, 16, 16) if isinstance(net, ChannelsNet) else torch.zeros(4, 10)
        with torch.no_grad(), Survey() as survey:
            net.eval()(x)
        recorded = RecordedTrunk(survey.trunk())
        with torch.no_grad(), recorded:
            net(x)
        tensors = [t for t in recorded.results if isinstance(t, torch.Tensor)]
        assert sum(not t.is_meta for t in tensors) == n_kept
        assert len(tensors) > n_kept


def test_without_dropout_one_pass_is_made(seeded):
    net = seeded(nn.Sequential, nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    network = TorchNetwork(net)
    with pytest.warns(DistilWarning, match="no dropout"):
        ask_for_samples(network, torch.zeros(5, 10), torch.arange(5), 2)
    with Computed() as computed:
        assert ask_for_samples(network, torch.zeros(9, 10), torch.arange(9), 7).shape == (9, 7, 3)
    assert computed.n == 2
