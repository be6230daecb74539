"""Logits and embedding of every kind of model, which is left as it was."""

import inspect
import math
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import Dataset

from distil.errors import DistilWarning, InvalidInput, UnsupportedModel
from distil.networks.base import Network
from distil.networks.dropout import Draw
from distil.networks.memory_format import ChannelsLastPooling
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap as wrapped
from distil.rng import Rng
from distil.selection.select import select
from distil.system.runtime import Runtime

N, DIMS, WIDTH, CLASSES = 20, 6, 5, 4
X = torch.randn(N, DIMS, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(N, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def ask(network, batch, runtime=None):
    with network.asking(runtime or Runtime()):
        return network.outputs(batch)


class Body(nn.Module):
    """A body and a head, and nothing yet that says what is returned."""

    def __init__(self, n_out=CLASSES):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(DIMS, WIDTH), nn.Tanh())
        self.head = nn.Linear(WIDTH, n_out)


def returning(expression, n_out=CLASSES):
    """A Body whose forward returns ``expression(self, hidden, logits)``."""

    class Model(Body):
        def forward(self, x):
            hidden = self.body(x)
            return expression(self, hidden, self.head(hidden))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return Model(n_out)


def expected(model, x=X):
    """Logits and embedding by hand."""
    with torch.no_grad():
        hidden = model.body(x)
        return model.head(hidden), hidden


def check(outputs, logits, embedding):
    torch.testing.assert_close(outputs.logits, logits)
    if embedding is None:
        assert outputs.embedding is None
    else:
        torch.testing.assert_close(outputs.embedding, embedding)


class Fields:
    """As the outputs of transformers: an object with a field called logits."""

    def __init__(self, logits, hidden):
        self.hidden_states, self.logits = hidden, logits


# --- what is found --------------------------------------------------------------------------------------------------


def test_return_values_of_models(case):
    for case_id, expression in zip(
        ["tensor", "pair", "pair, embedding first", "list", "one-tuple", "dict", "fuller dict", "object", "namespace"],
        [
            lambda m, h, z: z,
            lambda m, h, z: (z, h),
            lambda m, h, z: (h, z),
            lambda m, h, z: [z, h],
            lambda m, h, z: (z,),
            lambda m, h, z: {"logits": z},
            lambda m, h, z: {"loss": None, "logits": z, "hidden": h},
            lambda m, h, z: Fields(z, h),
            lambda m, h, z: types.SimpleNamespace(logits=z),
        ],
        strict=True,
    ):
        with case(case_id):
            model = returning(expression)
            check(ask(TorchNetwork(model), X), *expected(model))


def test_a_plain_sequential(seeded):
    model = seeded(nn.Sequential, nn.Linear(DIMS, WIDTH), nn.ReLU(), nn.Dropout(0.5), nn.Linear(WIDTH, CLASSES))
    model.eval()
    check(ask(TorchNetwork(model), X), model(X).detach(), model[:3](X).detach())


def test_a_single_linear_layer_has_its_input_as_embedding(seeded):
    model = seeded(nn.Linear, DIMS, CLASSES)
    check(ask(TorchNetwork(model), X), model(X).detach(), X)


def test_the_head_is_the_layer_that_gives_the_logits_not_the_last_one_called_or_made():
    class Auxiliary(Body):
        def __init__(self):
            super().__init__()
            self.auxiliary = nn.Linear(WIDTH, CLASSES)  # made last, called last, and not what is returned

        def forward(self, x):
            hidden = self.body(x)
            logits = self.head(hidden)
            self.auxiliary(hidden + 1)
            return logits

    model = Auxiliary()
    check(ask(TorchNetwork(model), X), *expected(model))


def test_layers_after_the_head_that_change_nothing():
    model = returning(lambda m, h, z: F.dropout(z, 0.5, m.training).contiguous())
    check(ask(TorchNetwork(model), X), *expected(model))


class ConvHead(nn.Module):
    """A fully convolutional classifier: a 1x1 convolution, then the mean over places."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU())
        self.classify = nn.Conv2d(7, CLASSES, 1)

    def forward(self, x):
        return self.classify(self.body(x)).mean((2, 3))


def test_a_convolutional_head_has_the_mean_over_places_as_embedding(seeded):
    model = seeded(ConvHead)
    with torch.no_grad():
        places = model.body(IMAGES)
        check(ask(TorchNetwork(model), IMAGES), model(IMAGES), places.mean((2, 3)))
        weight = model.classify.weight[:, :, 0, 0]
        torch.testing.assert_close(places.mean((2, 3)) @ weight.T + model.classify.bias, model(IMAGES))


def test_the_documented_protocol(case, seeded):
    for freeze_argument in [True, False]:
        with case(freeze_argument):

            class Documented(Body):
                if freeze_argument:

                    def forward(self, x, last=False, freeze=False):
                        hidden = self.body(x)
                        return (self.head(hidden), hidden) if last else self.head(hidden)
                else:

                    def forward(self, x, *, last=False):
                        hidden = self.body(x)
                        return (self.head(hidden), hidden) if last else self.head(hidden)

            model = seeded(Documented)
            check(ask(TorchNetwork(model), X), *expected(model))


def test_the_protocol_comes_before_the_head(seeded):
    class Documented(Body):
        def forward(self, x, last=False, freeze=False):
            hidden = self.body(x)
            return (self.head(hidden), 2 * hidden.unsqueeze(2)) if last else self.head(hidden)

    model = seeded(Documented)
    logits, hidden = expected(model)
    check(ask(TorchNetwork(model), X), logits, 2 * hidden)  # flattened to (B, D)


def test_outputs_comes_before_everything(seeded):
    class Odd(Body):
        def forward(self, x, last=False):
            raise AssertionError("the plain call was made")

    model = seeded(Odd)
    network = TorchNetwork(model, outputs=lambda m, x: (m.head(m.body(x)), m.body(x) + 1))
    logits, hidden = expected(model)
    check(ask(network, X), logits, hidden + 1)
    no_embedding = TorchNetwork(model, outputs=lambda m, x: (m.head(m.body(x)), None))
    check(ask(no_embedding, X), logits, None)


def test_a_head_named_by_the_user():
    model = returning(lambda m, h, z: z / 3)
    check(ask(TorchNetwork(model, head="head"), X), expected(model)[0] / 3, expected(model)[1])
    check(ask(TorchNetwork(model, head="body.0"), X), expected(model)[0] / 3, X)


def test_a_head_named_by_the_user_identifies_the_logits_of_a_pair(case):
    for expression in [lambda m, h, z: (h, z), lambda m, h, z: (z, h)]:
        with case(expression):
            model = returning(expression)
            check(ask(TorchNetwork(model, head="head"), X), *expected(model))


@pytest.mark.parametrize("logits_first", [True, False])
def test_a_head_that_is_called_twice(logits_first):
    """The embedding is the input of the call that gave the logits, whichever call that was."""

    class Twice(Body):
        def forward(self, x):
            hidden = self.body(x)
            if logits_first:
                logits = self.head(hidden)
                self.head(hidden.flip(0) * 2)
            else:
                self.head(hidden.flip(0) * 2)
                logits = self.head(hidden)
            return logits

    model = Twice()
    check(ask(TorchNetwork(model), X), *expected(model))


def test_a_head_called_with_a_keyword():
    class Keyword(Body):
        def forward(self, x):
            return self.head(input=self.body(x))

    model = Keyword()
    torch.testing.assert_close(ask(TorchNetwork(model), X).logits, expected(model)[0])


def test_minibatches_of_one(seeded):
    model = returning(lambda m, h, z: (h, z))
    network = TorchNetwork(model)
    logits, hidden = expected(model)
    with network.asking(Runtime()):
        found = [network.outputs(X[i : i + 1]) for i in range(N)]
    torch.testing.assert_close(torch.cat([f.logits for f in found]), logits)
    torch.testing.assert_close(torch.cat([f.embedding for f in found]), hidden)


def test_one_network_is_asked_again_and_again():
    model = returning(lambda m, h, z: z)
    network = TorchNetwork(model)
    for _ in range(3):
        check(ask(network, X), *expected(model))
    with torch.no_grad():
        model.head.weight.add_(1)
    check(ask(network, X), *expected(model))


# --- what models end with -------------------------------------------------------------------------------------------


def test_log_softmax_at_the_end():
    model = returning(lambda m, h, z: z.log_softmax(1))
    logits, hidden = expected(model)
    check(ask(TorchNetwork(model), X), logits.log_softmax(1), hidden)


def test_softmax_at_the_end():
    model = returning(lambda m, h, z: z.softmax(1))
    logits, hidden = expected(model)
    outputs = ask(TorchNetwork(model, output="probs"), X)
    torch.testing.assert_close(outputs.logits.softmax(1), logits.softmax(1))
    torch.testing.assert_close(outputs.embedding, hidden)


def test_probabilities_of_exactly_zero_stay_finite():
    model = returning(lambda m, h, z: (z * 1000).softmax(1))
    outputs = ask(TorchNetwork(model, output="probs"), X)
    probs = (expected(model)[0] * 1000).softmax(1)
    assert bool((probs == 0).any())
    assert bool(outputs.logits.isfinite().all())
    torch.testing.assert_close(outputs.logits.softmax(1), probs, rtol=1e-4, atol=1e-30)


def test_one_logit_of_a_binary_model(case):
    for squeeze in [False, True]:
        with case(squeeze):
            model = returning(lambda m, h, z, squeeze=squeeze: z.squeeze(1) if squeeze else z, n_out=1)
            logit, hidden = expected(model)
            outputs = ask(TorchNetwork(model, output="sigmoid"), X)
            p = torch.sigmoid(logit)
            torch.testing.assert_close(outputs.logits.softmax(1), torch.cat([1 - p, p], 1))
            torch.testing.assert_close(outputs.embedding, hidden)


def test_one_probability_of_a_binary_model(case):
    for squeeze in [False, True]:
        with case(squeeze):
            model = returning(lambda m, h, z, squeeze=squeeze: torch.sigmoid(z.squeeze(1) if squeeze else z), n_out=1)
            logit, hidden = expected(model)
            outputs = ask(TorchNetwork(model, output="probs"), X)
            p = torch.sigmoid(logit)
            torch.testing.assert_close(outputs.logits.softmax(1), torch.cat([1 - p, p], 1))
            torch.testing.assert_close(outputs.embedding, hidden)


def test_entropy_of_a_binary_model_is_the_closed_form():
    model = returning(lambda m, h, z: z.squeeze(1), n_out=1)
    found = select("entropy_sampling", TorchNetwork(model, output="sigmoid"), X, N)
    p = torch.sigmoid(expected(model)[0][:, 0].double()).numpy()
    entropies = -(p * np.log(p) + (1 - p) * np.log1p(-p))
    assert found.tolist() == np.argsort(-entropies, kind="stable").tolist()
    np.testing.assert_allclose(found.scores, entropies[found], rtol=1e-5)
    assert float(found.scores.max()) <= math.log(2) + 1e-6


def test_precision_of_the_logits():
    half = ask(TorchNetwork(returning(lambda m, h, z: z).bfloat16()), X)
    assert half.logits.dtype == torch.float32
    double = ask(TorchNetwork(returning(lambda m, h, z: z).double()), X)
    assert double.logits.dtype == torch.float64


# --- what cannot be right -------------------------------------------------------------------------------------------


def refused(model, batch=X, **options):
    """The message of the UnsupportedModel that asking raises."""
    with pytest.raises(UnsupportedModel) as caught:
        ask(TorchNetwork(model, **options), batch)
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


def test_a_pair_that_no_layer_maps():
    message = refused(returning(lambda m, h, z: (z * 2, h * 2)))
    assert "returns 2 tensors ((8, 4), (8, 5))" in message
    assert "pass its position to distil.wrap, as logits=0" in message


def test_one_column_without_saying_sigmoid():
    for squeeze in (True, False):
        message = refused(returning(lambda m, h, z, s=squeeze: z.squeeze(1) if s else z, n_out=1))
        assert 'one column; for the logit of a binary classifier pass output="sigmoid"' in message
        assert 'regression models need task="regression"' in message


def test_rows_that_sum_to_one_without_saying_probs():
    """A guess is made only if all rows sum to 1 and the caller did not say what the model returns."""
    model = returning(lambda m, h, z: z.softmax(1))
    message = refused(model, output=None)
    assert "all rows that the model returned sum to 1" in message
    assert 'output="probs"' in message
    assert 'output="logits"' in message
    with pytest.raises(UnsupportedModel, match="sum to 1"):
        select("margin_sampling", model, X, 3)
    table = torch.randn(N, 3, generator=torch.Generator().manual_seed(0))
    for rows, options in [(N - 1, {}), (N, {"output": "logits"})]:
        table[:rows] = table[:rows].softmax(1)
        top = table.double().softmax(1).topk(2).values.numpy()
        network = wrapped(lambda x: table[x[:, 0].long()], **options)
        found = select("margin_sampling", network, torch.arange(float(N))[:, None], 5)
        assert found.tolist() == np.argsort(top[:, 0] - top[:, 1], kind="stable")[:5].tolist()


def test_rows_that_are_no_probabilities():
    assert "sum to 1, but some rows do not" in refused(returning(lambda m, h, z: z), output="probs")


def test_one_column_that_is_no_probability():
    refused(returning(lambda m, h, z: 10 * z, n_out=1), output="probs")


def test_sigmoid_of_several_columns():
    message = refused(returning(lambda m, h, z: z), output="sigmoid")
    assert 'output="sigmoid" expects one column, the logit of a binary model, got (8, 4)' in message
    assert "multi-label" in message


def test_logits_of_three_axes():
    message = refused(returning(lambda m, h, z: z.reshape(-1, 2, 2)))
    assert "got (8, 2, 2); dense outputs" in message
    model = returning(lambda m, h, z: z.reshape(-1, 2, 2))
    assert len(select("margin_sampling", wrapped(model, logits=lambda out: out.mean(2)), X, 3)) == 3


def test_whole_numbers_as_logits():
    assert "floating-point logits" in refused(returning(lambda m, h, z: z.argmax(1)))


def test_return_values_without_logits(case):
    for value in [None, "text", (), {"scores": torch.ones(N, 3)}, (torch.ones(N, 3), None)]:
        with case(value):
            message = refused(returning(lambda m, h, z, value=value: value))
            assert "cannot read logits from what the model returns" in message
            assert "pass logits=" in message


def test_not_a_module(case):
    for value in [None, "resnet18", nn.Linear, lambda x: x, np.zeros(3)]:
        with case(value), pytest.raises(UnsupportedModel, match=r"expected a torch\.nn\.Module, got"):
            TorchNetwork(value)


def test_an_unknown_head_lists_the_linear_layers():
    with pytest.raises(
        UnsupportedModel, match=r"head='fc' is not a layer of the model; its Linear layers: 'body\.0', 'head'"
    ):
        TorchNetwork(returning(lambda m, h, z: z), head="fc")


def test_an_unknown_kind_of_output():
    with pytest.raises(InvalidInput, match="one of 'logits', 'probs', 'sigmoid', got 'softmax'"):
        TorchNetwork(returning(lambda m, h, z: z), output="softmax")


class NoHead(nn.Module):
    """Logits that no layer gives: distances to class centers."""

    def __init__(self):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(CLASSES, DIMS, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return -((x[:, None] - self.centers) ** 2).sum(2)


def test_without_a_head_probabilities_still_serve():
    probs = NoHead()(X).softmax(1).detach().double().numpy()
    entropies = -(probs * np.log(probs)).sum(1)
    assert select("entropy_sampling", NoHead(), X, 5).tolist() == np.argsort(-entropies)[:5].tolist()


def test_without_a_head_the_embedding_is_refused_with_advice(case):
    for strategy in ["core_set", "badge", "kmeans_sampling"]:
        with case(strategy):
            with pytest.raises(
                UnsupportedModel, match=r"embedding is unknown; name the module .*head=.*embedding="
            ) as caught:
                select(strategy, NoHead(), X, 5)
            assert torch.is_grad_enabled()
            assert "distil.wrap" in str(caught.value)
            network = TorchNetwork(NoHead(), outputs=lambda m, x: (m(x), x))
            assert len(select(strategy, network, X, 5)) == 5


# --- minibatches ----------------------------------------------------------------------------------------------------


def test_tensors_and_sequences_that_start_with_one(case):
    for wrap in [lambda x: x, lambda x: [x, torch.zeros(len(x))], lambda x: (x,), lambda x: (x, "name", None)]:
        with case(wrap):
            model = returning(lambda m, h, z: z)
            check(ask(TorchNetwork(model), wrap(X)), *expected(model))


class Named(Body):
    """Called with keywords, as the models of transformers are."""

    def forward(self, tokens, mask=None, labels=None):
        assert labels is None, "labels were read"
        return self.head(self.body(tokens * mask[:, None]))


class TakesAll(Body):
    def forward(self, **inputs):
        assert set(inputs) == {"tokens", "mask", "extra"}
        return self.head(self.body(inputs["tokens"] * inputs["mask"][:, None]))


def test_dicts_are_keywords_and_labels_are_dropped(case):
    for build in [Named, TakesAll]:
        for wrap in [lambda d: d, lambda d: (d, torch.zeros(N)), lambda d: types.MappingProxyType(d)]:
            with case(build, wrap):
                model = build()
                mask = torch.arange(N) % 2
                batch = {
                    "tokens": X,
                    "mask": mask,
                    "extra": torch.ones(N),
                    "labels": torch.ones(N),
                    "label": torch.ones(N),
                }
                check(ask(TorchNetwork(model), wrap(batch)), *expected(model, X * mask[:, None]))


def test_other_minibatches_need_inputs(case):
    for batch in ["text", 3, ["a", "b"], [1, 2], None]:
        with case(batch):
            message = refused(returning(lambda m, h, z: z), batch)
            assert f"minibatch of type {type(batch).__name__}" in message
            assert "pass inputs=" in message


def test_inputs_reads_the_minibatch():
    model = returning(lambda m, h, z: z)
    batch = {"nested": {"deeply": [None, X]}}
    network = TorchNetwork(model, inputs=lambda b: b["nested"]["deeply"][1])
    check(ask(network, batch), *expected(model))


def test_inputs_may_give_keywords():
    model = Named()
    network = TorchNetwork(model, inputs=lambda b: {"tokens": b[1], "mask": torch.ones(N)})
    check(ask(network, ["id", X]), *expected(model))


def test_floating_inputs_take_the_precision_of_the_model():
    model = returning(lambda m, h, z: z)
    check(ask(TorchNetwork(model), X.double()), *expected(model))
    pool = X.double().numpy()
    assert select("badge", model, pool, 5).tolist() == select("badge", model, X, 5).tolist()


def test_inputs_are_what_the_model_is_called_with():
    network = TorchNetwork(returning(lambda m, h, z: z), inputs=lambda b: b["deep"][1])
    with network.asking(Runtime()):
        torch.testing.assert_close(network.inputs({"deep": [None, X.double()]}), X)
    plain = TorchNetwork(returning(lambda m, h, z: z))
    with plain.asking(Runtime()):
        assert plain.inputs([X, "label"]) is X
        assert plain.inputs(torch.ones(3, 2, dtype=torch.uint8)).dtype == torch.float32
        with pytest.raises(
            UnsupportedModel, match=r"reads inputs needs .* one tensor, and this one is called with a dict"
        ):
            plain.inputs({"x": X})


def test_whole_numbers_are_left_whole(seeded):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(10, WIDTH), nn.Linear(WIDTH, CLASSES)

        def forward(self, tokens):
            return self.head(self.embed(tokens).mean(1))

    model = seeded(Tokens)
    tokens = torch.randint(10, (N, 7), generator=torch.Generator().manual_seed(0))
    check(ask(TorchNetwork(model), tokens), model(tokens).detach(), model.embed(tokens).mean(1).detach())


# --- wrapped modules ------------------------------------------------------------------------------------------------


def test_compiled_and_parallel_modules_are_asked_through_the_inner_module(case, small_net):
    for case_id, wrap in zip(
        ["compiled", "parallel", "compiled in parallel", "parallel compiled"],
        [
            lambda m: torch.compile(m, backend="eager"),
            nn.DataParallel,
            lambda m: nn.DataParallel(torch.compile(m, backend="eager")),
            lambda m: torch.compile(nn.DataParallel(m), backend="eager"),
        ],
        strict=True,
    ):
        with case(case_id):
            model = small_net()
            model.eval()
            with torch.no_grad():
                hidden = model.body(X)
                logits = model.head(hidden)
            wrapped = wrap(model)
            check(ask(TorchNetwork(wrapped), X), logits, hidden)
            check(ask(TorchNetwork(wrapped, head="head"), X), logits, hidden)
            assert select("badge", wrapped, X, 5).tolist() == select("badge", model, X, 5).tolist()
            plain = select("bald_dropout", model, X, 5)
            assert select("bald_dropout", wrapped, X, 5).tolist() == plain.tolist()


def test_a_network_is_abstract():
    assert inspect.isabstract(Network)


# --- the model is left as it was ------------------------------------------------------------------------------------


def draw_for(x):
    return Draw(Rng(0), torch.arange(len(x)))


def test_nothing_is_changed(small_net, fingerprint):
    model = small_net()
    model.body[1].eval()
    model.head.bias.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    before = fingerprint(model)
    network = TorchNetwork(model)
    with network.asking(Runtime()):
        assert not torch.is_grad_enabled()
        assert not any(layer.training for layer in model.modules())
        network.outputs(X)
        network.sample(X, 3, draw_for(X))
    assert fingerprint(model) == before
    assert torch.is_grad_enabled()


def test_nothing_is_changed_when_the_forward_pass_fails(small_net, fingerprint):
    model = small_net()
    before = fingerprint(model)
    network = TorchNetwork(model)
    ask(network, X)
    with pytest.raises(RuntimeError):
        ask(network, X[:, :3])  # a wrong shape
    assert fingerprint(model) == before
    assert torch.is_grad_enabled()


def test_nothing_is_changed_when_the_kind_is_refused(fingerprint):
    model = returning(lambda m, h, z: z.softmax(1)).train()
    before = fingerprint(model)
    refused(model, output=None)
    assert fingerprint(model) == before


class Breaks(Body):
    """Gives NaN for some examples."""

    def forward(self, x):
        hidden = self.body(x).masked_fill(x[:, :1] > 50, torch.nan)
        return self.head(F.dropout(hidden, 0.5, self.training))


def test_nothing_is_changed_while_the_error_is_still_held(case, fingerprint):
    """In a notebook the last error, and with it the frames it came through, lives until the next one."""
    for strategy in ["entropy_sampling", "badge", "bald_dropout", "core_set"]:
        for batch_size in [4, 256]:
            with case(strategy, batch_size):
                model = Breaks().train()
                before = fingerprint(model)
                pool = X.clone()
                pool[[9, 15], 0] = 100
                with pytest.raises(InvalidInput, match=r"NaN or infinite values in \d of \d+ examples: ids 9") as held:
                    select(strategy, model, pool, 3, runtime=Runtime(batch_size=batch_size))
                assert fingerprint(model) == before
                assert torch.is_grad_enabled()
                assert held.value.__traceback__ is not None


def test_nan_in_the_first_row_is_reported(case):
    for strategy in ["entropy_sampling", "badge", "core_set"]:
        with case(strategy):
            model = returning(lambda m, h, z: z)
            with torch.no_grad():
                model.body[0].weight.fill_(torch.nan)
            with pytest.raises(InvalidInput, match=r"NaN or infinite values in 20 of 20 examples"):
                select(strategy, model, X, 3)


class Counting(Body):
    """Changes its buffers in every forward pass, also in evaluation mode."""

    def __init__(self, change):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("bank", torch.zeros(0, WIDTH))
        self.register_buffer("scratch", torch.full((2,), torch.nan), persistent=False)
        self.change = change

    def forward(self, x):
        hidden = self.body(x)
        if self.change == "in place":
            self.seen += len(x)
            self.scratch.fill_(1.0)
        elif self.change == "assigned":
            self.seen = self.seen + len(x)
        else:
            self.bank = torch.cat([self.bank, hidden])[-16:]
        return self.head(hidden)


def test_buffers_that_a_forward_pass_changes_are_restored(case, fingerprint):
    for change in ["in place", "assigned", "grown"]:
        with case(change):
            model = Counting(change)
            before = fingerprint(model)
            check(ask(TorchNetwork(model), X), *expected(model))
            assert fingerprint(model) == before


def test_hooks_of_the_user_stay_and_run(small_net):
    model = small_net()
    seen = []
    handle = model.head.register_forward_hook(lambda layer, args, out: seen.append(len(out)))
    ask(TorchNetwork(model), X)
    assert N in seen
    assert list(model.head._forward_hooks) == [handle.id]


def test_a_batch_of_the_user_is_not_changed():
    class InPlace(Body):
        def forward(self, x):
            return self.head(self.body(x * 1))

    x = X.clone()
    ask(TorchNetwork(InPlace()), {"x": x})
    assert torch.equal(x, X)


def test_asking_where_the_model_is_leaves_it_there(small_net):
    model = small_net()
    pointers = [p.data_ptr() for p in model.parameters()]
    ask(TorchNetwork(model), X, Runtime(device="cpu"))
    assert [p.data_ptr() for p in model.parameters()] == pointers


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_model_comes_back_from_the_device(small_net, fingerprint):
    model = small_net()
    before = fingerprint(model)
    outputs = ask(TorchNetwork(model), X, Runtime(device="cuda"))
    assert outputs.logits.device.type == "cuda"
    assert fingerprint(model) == before


# --- samples --------------------------------------------------------------------------------------------------------


def test_samples_are_probabilities_of_the_forward_pass_with_dropout(case):
    for output in ["logits", "probs", "sigmoid"]:
        with case(output):
            end = {"logits": lambda z: z, "probs": lambda z: z.softmax(1), "sigmoid": lambda z: z}[output]
            model = returning(
                lambda m, h, z, end=end: end(m.head(F.dropout(h, 0.5, m.training))),
                n_out=1 if output == "sigmoid" else CLASSES,
            )
            network = TorchNetwork(model, output=output)
            with network.asking(Runtime()):
                found = network.sample(X, 6, draw_for(X))
            assert found.shape == (N, 6, 2 if output == "sigmoid" else CLASSES)
            torch.testing.assert_close(found.sum(2), torch.ones(N, 6))
            hidden = expected(model)[1]
            for k in range(6):  # the masks of sample k, drawn again for the only place that drops
                keep = draw_for(X).child(k).kept(1, (WIDTH,), 0.5).float()
                logits = model.head(hidden * keep * 2).detach()
                by_hand = (
                    torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], 1)
                    if output == "sigmoid"
                    else logits.softmax(1)
                )
                torch.testing.assert_close(found[:, k], by_hand)


def test_pooling_with_channels_last_gives_the_same_numbers(case):
    for options in [{}, {"stride": 1}, {"padding": 1, "ceil_mode": True}, {"dilation": 2}]:
        for channels in [3, 8]:
            with case(options, channels):
                x = torch.randn(5, channels, 9, 11, generator=torch.Generator().manual_seed(0))
                x[0, 1, 2, 3], x[1, 0, 4, 4], x[2, 2] = torch.nan, torch.inf, -torch.inf
                with ChannelsLastPooling():
                    found = F.max_pool2d(x, 3, **options)
                    turned = F.max_pool2d(x.transpose(2, 3), 3, **options)
                    values, indices = F.max_pool2d(x[3:], 3, return_indices=True, **options)
                assert found.is_contiguous()
                torch.testing.assert_close(found, F.max_pool2d(x, 3, **options), rtol=0, atol=0, equal_nan=True)
                torch.testing.assert_close(
                    turned, F.max_pool2d(x.transpose(2, 3), 3, **options), rtol=0, atol=0, equal_nan=True
                )
                expected = F.max_pool2d(x[3:], 3, return_indices=True, **options)
                assert torch.equal(values, expected[0])
                assert torch.equal(indices, expected[1])


def test_images_are_pooled_with_channels_last_while_sampling(seeded):
    seen = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func._schema.name == "aten::max_pool2d_with_indices":
                seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
            return func(*args, **(kwargs or {}))

    pooled = [nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(54, 3)]
    network = TorchNetwork(seeded(nn.Sequential, *pooled))
    with network.asking(Runtime()), Watched():
        network.sample(IMAGES, 3, draw_for(IMAGES))
        network.outputs(IMAGES)
    assert seen[-2:] == [True, False]


def test_sampling_finds_the_kind_of_output_by_itself():
    message = None
    network = TorchNetwork(returning(lambda m, h, z: F.dropout(z, 0.0).softmax(1)), output=None)
    with pytest.warns(DistilWarning), pytest.raises(UnsupportedModel) as caught, network.asking(Runtime()):
        network.sample(X, 2, draw_for(X))
    message = str(caught.value)
    assert "all rows that the model returned sum to 1" in message


class DictRows(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        return {"tokens": X[i], "mask": 1, "labels": 7}


def test_a_data_set_of_dicts_is_selected_from():
    model = Named()
    tensor = returning(lambda m, h, z: z)
    tensor.load_state_dict(model.state_dict())
    assert select("badge", model, DictRows(), 6).tolist() == select("badge", tensor, X, 6).tolist()


def test_sampled_probabilities_of_extreme_logits_are_finite():
    head = nn.Linear(1, 3, bias=False)
    head.weight.data = torch.tensor([[2e3], [0.0], [-2e3]])
    network = TorchNetwork(nn.Sequential(nn.Dropout(0.5), head))
    data = torch.tensor([[1.0], [-1.0]])
    chosen = select("entropy_sampling_dropout", network, data, 2)
    assert ((chosen.scores >= 0) & (chosen.scores <= math.log(3))).all()
