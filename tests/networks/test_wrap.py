"""Models of every kind, unchanged: what is found in them, and what is said where nothing is."""

import functools
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import Dataset

import distil
from distil.data.examples import LabeledSet
from distil.errors import InvalidInput, MissingSignal, UnsupportedModel
from distil.measuring.network_source import NetworkSource
from distil.networks.torch_network import TorchNetwork
from distil.networks.wrap import wrap
from distil.rng import Rng
from distil.selection.choose import gather
from distil.selection.select import select, select_from
from distil.signals import Embedding, Logits, Probs
from distil.system.imports import import_torchvision
from distil.system.runtime import Runtime

N, CLASSES = 12, 3
IMAGES = torch.randn(N, 3, 32, 32, generator=torch.Generator().manual_seed(0))
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(1))
SMALL = Runtime(batch_size=5)


def measured(model, data, *, collate=None):
    """Logits and embedding of all of ``data``, in minibatches of five."""
    source = NetworkSource(wrap(model), data, torch.arange(len(data)), collate=collate)
    table = gather(source, (Logits(), Embedding(), Probs()), SMALL, Rng(0))
    return table[Logits()], table[Embedding()], table[Probs()]


def in_minibatches(module, data):
    """What a module returns for the minibatches of ``measured``: in other shapes, matrix products of a CPU round otherwise."""
    with torch.no_grad():
        return torch.cat([module(part) for part in data.split(SMALL.batch_size)])


def same_picks_as_arrays(model, data, *, collate=None):
    """What is selected from the model is what is selected from the arrays it gives."""
    _, embeddings, probs = measured(model, data, collate=collate)
    picked = select("badge", model, data, 4, collate=collate, runtime=SMALL, rng=7)
    assert picked.tolist() == select_from("badge", 4, probs=probs, embeddings=embeddings, seed=7).tolist()
    picked = select("margin_sampling", model, data, 4, collate=collate, runtime=SMALL)
    assert picked.tolist() == select_from("margin_sampling", 4, probs=probs).tolist()


def check_module(module, data, head, fingerprint, *, call=None, collate=None, model=None):
    """The embedding is the input of the head, the logits are the module's own, and the module stays as it is."""
    model = module if model is None else model
    module.train()
    before = fingerprint(module)
    logits, embedding, _ = measured(model, data, collate=collate)
    same_picks_as_arrays(model, data, collate=collate)
    assert fingerprint(module) == before
    module.eval()
    with torch.no_grad():
        expected = module(data) if call is None else call()
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
        if head is not None:
            weight = head.weight.flatten(1)
            torch.testing.assert_close(embedding @ weight.T + head.bias, logits, rtol=1e-5, atol=1e-5)
    return embedding


class Net(nn.Module):
    def __init__(self, n_out=CLASSES):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Dropout(0.5))
        self.head = nn.Linear(5, n_out)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def net(seeded):
    return seeded(Net).eval()


# --- vision ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    if find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    return import_torchvision().models


@pytest.fixture(scope="module")
def timm(models):
    return pytest.importorskip("timm")


TIMM = {
    "resnet10t": {},
    "mobilenetv3_small_050": {},
    "vit_tiny_patch16_224": {"img_size": 32, "patch_size": 8, "depth": 2},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16)},
    "dla46_c": {},  # its head is a convolution
}


def test_timm(case, timm, seeded, fingerprint):
    for name in TIMM:
        with case(name):
            model = seeded(timm.create_model, name, num_classes=CLASSES, **TIMM[name])
            embedding = check_module(model, IMAGES, model.get_classifier(), fingerprint)
            with torch.no_grad():
                expected = model.forward_head(model.forward_features(IMAGES), pre_logits=True)
            rounding = 1e-5 * max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(embedding, expected.flatten(1), rtol=1e-4, atol=rounding)


def test_timm_models_that_average_two_heads(timm, seeded, fingerprint):
    """No layer gives their logits; ``forward_head(pre_logits=True)`` is asked."""
    settings = {"img_size": 32, "patch_size": 8, "depth": 2, "num_classes": CLASSES}
    model = seeded(timm.create_model, "deit_tiny_distilled_patch16_224", **settings)
    with torch.no_grad():
        model.head_dist.weight.normal_(std=0.1)
        model.head.weight.normal_(std=0.1)
    embedding = check_module(model, IMAGES, None, fingerprint)
    with torch.no_grad():
        tokens = model.forward_features(IMAGES)
        torch.testing.assert_close(embedding, (tokens[:, 0] + tokens[:, 1]) / 2, rtol=1e-4, atol=1e-5)


TORCHVISION = {"resnet18": "fc", "mobilenet_v3_small": "classifier.3", "shufflenet_v2_x0_5": "fc"}


def test_torchvision(case, models, seeded, fingerprint):
    for name in TORCHVISION:
        with case(name):
            model = seeded(getattr(models, name), num_classes=CLASSES)
            check_module(model, IMAGES, model.get_submodule(TORCHVISION[name]), fingerprint)
            assert f"the input of {TORCHVISION[name]})" in repr(wrap(model, example=IMAGES[:2]))


def test_a_named_convolution_is_a_head(models, seeded):
    """SqueezeNet puts ReLU behind its head, so no layer gives its logits."""
    model = seeded(models.squeezenet1_1, num_classes=CLASSES).eval()
    for network in (wrap(model, head="classifier.1"), wrap(model)):
        _, embedding, _ = measured(network, IMAGES)
        with torch.no_grad():
            torch.testing.assert_close(embedding, model.features(IMAGES).mean((2, 3)), rtol=1e-4, atol=1e-5)


# --- transformers ---------------------------------------------------------------------------------------------------

BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
IDS = torch.randint(3, 50, (N, 9), generator=torch.Generator().manual_seed(2))
LENGTHS = torch.arange(N) % 5 + 4
MASK = (torch.arange(9) < LENGTHS[:, None]).long()


@pytest.fixture(scope="module")
def transformers():
    if find_spec("torchvision") is not None:
        import_torchvision()
    return pytest.importorskip("transformers")


@pytest.fixture
def bert(transformers, seeded):
    config = transformers.BertConfig(**BERT, num_labels=CLASSES)
    return seeded(transformers.BertForSequenceClassification, config).eval()


class Tokens(Dataset):
    """Dicts, as a tokenizer makes them, with the labels that a Trainer needs."""

    def __init__(self, kind=dict, padded=True):
        self.kind, self.padded = kind, padded

    def __len__(self):
        return N

    def __getitem__(self, i):
        length = 9 if self.padded else int(LENGTHS[i])
        return self.kind({"input_ids": IDS[i, :length], "attention_mask": MASK[i, :length], "labels": 99})


def plain(model):
    return lambda: model(input_ids=IDS, attention_mask=MASK).logits


def test_bert(bert, fingerprint):
    check_module(bert, Tokens(), bert.classifier, fingerprint, call=plain(bert))


def test_bert_in_pairs_of_dict_and_label(bert, fingerprint):
    class Pairs(Tokens):
        def __getitem__(self, i):
            return super().__getitem__(i), 1

    check_module(bert, Pairs(), bert.classifier, fingerprint, call=plain(bert))


def test_batch_encodings(bert, transformers, fingerprint):
    kind = transformers.BatchEncoding
    check_module(bert, Tokens(kind), bert.classifier, fingerprint, call=plain(bert))


def padding(items):
    """A user's collate function: pads to the longest of the minibatch."""
    longest = max(len(item["input_ids"]) for item in items)
    padded = {name: torch.zeros(len(items), longest, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    for row, item in enumerate(items):
        for name, values in padded.items():
            values[row, : len(item[name])] = item[name]
    return padded


def test_a_collate_function_of_the_user(case, bert):
    """Texts of different lengths cannot be stacked without one."""
    for num_workers in [0, 1]:
        with case(num_workers):
            data = Tokens(padded=False)
            runtime = Runtime(batch_size=5, num_workers=num_workers)
            with pytest.raises(
                InvalidInput,
                match=r"cannot be stacked into a minibatch .*; give examples of one size, or pass collate=",
            ):
                select("margin_sampling", bert, data, 3, runtime=SMALL)
            found = select("margin_sampling", bert, data, 3, collate=padding, runtime=runtime)
            assert found.tolist() == select("margin_sampling", bert, Tokens(), 3).tolist()
            if num_workers == 0:
                same_picks_as_arrays(bert, data, collate=padding)


@pytest.mark.filterwarnings("ignore:part of .*attention.self.dropout:distil.DistilWarning")  # its attention is fused
def test_dropout_is_sampled_for_any_minibatch(bert, fingerprint):
    before = fingerprint(bert)
    found = select("bald_dropout", bert, Tokens(), 4, runtime=SMALL)
    assert found.tolist() == select("bald_dropout", bert, Tokens(), 4, runtime=Runtime(batch_size=N)).tolist()
    assert float(found.scores.min()) > 1e-6
    assert fingerprint(bert) == before


def test_the_embeddings_of_transformers(case, bert, fingerprint):
    for kind in ["cls", "mean", "pooled"]:
        with case(kind):
            embedding = check_module(
                bert, Tokens(), None, fingerprint, call=plain(bert), model=wrap(bert, embedding=kind)
            )
            with torch.no_grad():
                base = bert.bert(input_ids=IDS, attention_mask=MASK)
            hidden = base.last_hidden_state
            mean = torch.stack([row[:length].mean(0) for row, length in zip(hidden, LENGTHS, strict=True)])
            expected = {"cls": hidden[:, 0], "mean": mean, "pooled": base.pooler_output}[kind]
            torch.testing.assert_close(embedding, expected)


def test_without_a_pooler(transformers, seeded):
    config = transformers.DistilBertConfig(
        dim=16, n_layers=1, n_heads=2, hidden_dim=32, vocab_size=50, num_labels=CLASSES
    )
    model = seeded(transformers.DistilBertForSequenceClassification, config)
    assert len(select("core_set", wrap(model, embedding="mean"), IDS, 3)) == 3
    with pytest.raises(
        UnsupportedModel, match="needs the base model's pooler_output, which it does not return; pass 'cls' or"
    ):
        wrap(model, embedding="pooled", example=IDS)


def test_other_models_have_no_cls(net):
    with pytest.raises(
        UnsupportedModel, match="embedding='cls' is for models of transformers, and Net has no base_model"
    ):
        wrap(net, embedding="cls", example=X)


def test_vit(transformers, seeded, fingerprint):
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        num_labels=CLASSES,
    )
    model = seeded(transformers.ViTForImageClassification, config).eval()
    data = [{"pixel_values": image, "label": 0} for image in IMAGES]
    embedding = check_module(model, data, model.classifier, fingerprint, call=lambda: model(IMAGES).logits)
    with torch.no_grad():
        torch.testing.assert_close(embedding, model.vit(IMAGES).last_hidden_state[:, 0])
    check_module(model, IMAGES, model.classifier, fingerprint, call=lambda: model(IMAGES).logits)  # as a plain tensor


def test_a_decoder_whose_head_is_called_at_every_token(transformers, seeded, fingerprint):
    config = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50, pad_token_id=0, num_labels=CLASSES)
    model = seeded(transformers.GPT2ForSequenceClassification, config).eval()
    ids = IDS * MASK
    embedding = check_module(model, ids, None, fingerprint, call=lambda: model(ids).logits)
    with torch.no_grad():
        torch.testing.assert_close(embedding @ model.score.weight.T, model(ids).logits, rtol=1e-5, atol=1e-5)


def test_labels_in_dicts_are_read_of_labeled_sets_only(bert):
    class Labeled(Tokens):
        def __getitem__(self, i):
            return {**super().__getitem__(i), "labels": i % CLASSES}

    labeled, held_out = (LabeledSet(Labeled(), rows, rows % CLASSES) for rows in (torch.arange(6), torch.arange(6, 9)))
    found = select("glister", bert, Labeled(), 3, labeled=range(6), validation=range(6, 9))
    assert (
        found.tolist()
        == select("glister", bert, Labeled(), 3, labeled=labeled, validation=held_out, candidates=range(9, N)).tolist()
    )
    without = [{"input_ids": ids} for ids in IDS]
    with pytest.raises(MissingSignal, match="GLISTER needs labels"):
        select("glister", bert, without, 3, labeled=range(6), validation=range(6, 9))


# --- skorch, Lightning, functions -----------------------------------------------------------------------------------


class Softmax(Net):
    """What skorch's NLLLoss expects."""

    def forward(self, x):
        return super().forward(x).softmax(-1)


@pytest.mark.parametrize(
    ("module", "criterion", "n_out"),
    [(Net, nn.CrossEntropyLoss, 3), (Softmax, nn.NLLLoss, 3), (Net, nn.BCEWithLogitsLoss, 1)],
)
def test_skorch(module, criterion, n_out, seeded, fingerprint):
    skorch = pytest.importorskip("skorch")
    net = skorch.NeuralNet(module, criterion=criterion, module__n_out=n_out, verbose=0)
    with pytest.raises(
        UnsupportedModel, match=r"NeuralNet has no module yet; call its initialize\(\) or fit\(\) first"
    ):
        wrap(net)
    seeded(net.initialize)
    before = fingerprint(net.module_)
    _, embedding, probs = measured(net, X)
    same_picks_as_arrays(net, X)
    assert fingerprint(net.module_) == before
    net.module_.eval()
    with torch.no_grad():
        hidden = net.module_.body(X)
        logits = net.module_.head(hidden)
    torch.testing.assert_close(embedding, hidden)
    expected = logits.softmax(-1) if n_out > 1 else torch.cat([1 - logits.sigmoid(), logits.sigmoid()], 1)
    torch.testing.assert_close(probs, expected)


def test_a_skorch_classifier_gives_its_own_probabilities(seeded):
    skorch = pytest.importorskip("skorch")
    net = skorch.NeuralNetClassifier(Softmax, max_epochs=1, train_split=None, verbose=0)
    seeded(net.fit, X.numpy(), np.arange(N) % CLASSES)
    np.testing.assert_allclose(measured(net, X)[2].numpy(), net.predict_proba(X.numpy()), rtol=1e-5)


def test_a_lightning_module(seeded, fingerprint):
    """A module with more than a forward, whose trainer cannot be reached outside of a training."""

    class Lightning(Net):
        def training_step(self, batch, batch_idx):
            raise AssertionError

        @property
        def trainer(self):
            raise RuntimeError("not attached to a Trainer")

    model = seeded(Lightning)
    check_module(model, X, model.head, fingerprint)


def test_functions(net, fingerprint):
    """The modules that they name are put into evaluation mode and looked through for the head."""
    for function in (
        lambda x: net(x),
        lambda x: net(x).numpy(),
        lambda x: {"logits": net(x)},
        net.forward,
        functools.partial(lambda model, x: model(x), net),
        lambda x: (net(x), net.body(x)),
    ):
        check_module(net, X, net.head, fingerprint, model=function)
    named = wrap(lambda x: net(x), head="body.0")
    torch.testing.assert_close(measured(named, X)[1], X)


def test_the_pair_of_a_function_is_logits_and_embedding():
    weight = torch.arange(18.0).reshape(6, 3)
    logits, embedding, _ = measured(lambda x: (x @ weight, x[:, :2]), X)
    assert logits.equal(X @ weight)
    assert embedding.equal(X[:, :2])
    with pytest.raises(UnsupportedModel, match="embedding is unknown"):
        measured(lambda x: x @ weight, X)


class Odd(Net):
    def forward(self, x):
        hidden = self.body(x)
        return {"scores": self.head(hidden), "hidden": hidden, "summary": hidden[:, :2, None], "aux": hidden.sum()}


def test_parts_of_what_a_model_returns(seeded, fingerprint):
    model = seeded(Odd).eval()
    expected = lambda: model(X)["scores"]  # noqa: E731
    with pytest.raises(UnsupportedModel, match="cannot read logits"):
        wrap(model, example=X)
    check_module(model, X, model.head, fingerprint, call=expected, model=wrap(model, logits="scores"))
    both = wrap(model, logits=lambda r: r["scores"], embedding="summary")
    embedding = check_module(model, X, None, fingerprint, call=expected, model=both)
    torch.testing.assert_close(embedding, model(X)["hidden"][:, :2].detach())
    with pytest.raises(UnsupportedModel, match="of type dict, has no tensor at logits='z'"):
        wrap(model, logits="z", example=X)
    with pytest.raises(UnsupportedModel, match="has no tensor at embedding=3"):
        wrap(model, logits="scores", embedding=3, example=X)


def test_positions_in_what_a_model_returns(net):
    class Three(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return x, self.net(x), x[:, :1]

    logits, embedding, _ = measured(wrap(Three(), logits=1, embedding=-1), X)
    assert logits.equal(in_minibatches(net, X))
    assert embedding.equal(X[:, :1])


def test_the_head_by_name_or_function(net):
    for head in ("body.0", lambda module: module.body[0]):
        assert measured(wrap(net, head=head), X)[1].equal(X)
    with pytest.raises(UnsupportedModel, match="head= must return a layer of the model, and returned a Linear"):
        wrap(net, head=lambda module: nn.Linear(2, 2))
    with pytest.raises(InvalidInput, match="expected head= or embedding=, got both"):
        wrap(net, head="head", embedding="cls")


def test_a_named_head_that_is_given_tokens(seeded):
    """The mean over tokens, not over numbers."""

    class Pooled(nn.Module):
        def __init__(self, of_tokens):
            super().__init__()
            self.head, self.of_tokens = nn.Linear(6, CLASSES), of_tokens

        def forward(self, x):
            return self.head(x).mean(1) if self.of_tokens else self.head(x.mean(1))

    tokens = torch.randn(N, 4, 6, generator=torch.Generator().manual_seed(4))
    model = seeded(Pooled, True)
    for network in (wrap(model), wrap(model, head="head")):
        torch.testing.assert_close(measured(network, tokens)[1], tokens.mean(1))


# --- weights in files -----------------------------------------------------------------------------------------------


def test_weights_in_files(case, net, tmp_path):
    for name in ["weights.safetensors", "weights.pt", "lightning.ckpt"]:
        with case(name):
            path = tmp_path / name
            if name.endswith("safetensors"):
                save_file(net.state_dict(), path)
            else:
                torch.save({"state_dict": net.state_dict()} if name.endswith("ckpt") else net.state_dict(), path)
            state = torch.get_rng_state()
            network = wrap(str(path), build=Net)
            assert torch.get_rng_state().equal(state)
            assert measured(network, X)[0].equal(in_minibatches(net, X))
            several = wrap([path, path], build=Net)
            torch.testing.assert_close(measured(several, X)[2], net(X).softmax(-1))
            with pytest.raises(InvalidInput, match="must be a file of weights; pass"):
                wrap(path)
            with pytest.raises(
                UnsupportedModel, match=r"do not fit the module: .*size mismatch for head\.weight"
            ) as caught:
                wrap(path, build=lambda: Net(4))
            assert "\n" not in str(caught.value)


def test_files_that_hold_more_than_tensors_are_not_read(net, tmp_path):
    torch.save(net, tmp_path / "model.pt")
    with pytest.raises(
        UnsupportedModel, match=r"must hold tensors only, and holds other objects; save model\.state_dict\(\) instead"
    ):
        wrap(tmp_path / "model.pt", build=Net)
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(UnsupportedModel, match="expected a state_dict in the file, got a list"):
        wrap(tmp_path / "list.pt", build=Net)
    with pytest.raises(InvalidInput, match="there is no file nowhere"):
        wrap("nowhere.pt", build=Net)


# --- what is said ---------------------------------------------------------------------------------------------------


def test_the_repr_is_one_line(net):
    network = wrap(net)
    assert repr(network) == "TorchNetwork(Net: logits and embedding will be found on the first minibatch)"
    measured(network, X)
    expected = "TorchNetwork(Net: 3 classes; embedding: 5 numbers, the input of head)"
    assert repr(network) == expected == repr(wrap(net, example=X[:2])) == str(wrap(net, example=X))
    expected = "TorchNetwork(Linear: 3 classes; embedding: 6 numbers, the input of Linear)"
    assert repr(wrap(nn.Linear(6, 3), example=X)) == expected
    assert repr(wrap([net, net], example=X)).startswith("Ensemble(2 members, the first TorchNetwork(Net: 3 classes")


def test_a_network_is_itself(net):
    network = TorchNetwork(net)
    assert wrap(network) is network
    with pytest.raises(InvalidInput, match="head= cannot be used with a Network, which has its own"):
        wrap(network, head="fc")


def test_the_number_of_classes(net):
    assert wrap(net, num_classes=CLASSES, example=X)
    with pytest.raises(UnsupportedModel, match="expected outputs for num_classes=4 classes, and the model has 3"):
        wrap(net, num_classes=4, example=X)


def test_other_things_are_refused(case):
    for model in [3, None, {"a": 1}, object()]:
        with case(model), pytest.raises(UnsupportedModel, match="cannot read a model of type"):
            wrap(model)


def test_a_class_is_no_model(case):
    for model in [Net, LogisticRegression]:
        with (
            case(model),
            pytest.raises(
                UnsupportedModel, match=rf"^expected a model, got the class {model.__name__}; pass an instance"
            ),
        ):
            wrap(model)


def test_no_models_are_no_ensemble():
    with pytest.raises(InvalidInput, match="an ensemble needs at least two members, got 0"):
        wrap([])


def test_build_is_for_files(net):
    with pytest.raises(InvalidInput, match="build= needs a path of weights as the model, got Net"):
        wrap(net, build=Net)


def test_select_and_learner_wrap_by_themselves(net):
    assert select("badge", lambda x: net(x), X, 3).tolist() == select("badge", net, X, 3).tolist()
    learner = distil.Learner(X, net, "badge", num_classes=CLASSES, network=lambda m: wrap(m, head="body.0"))
    learner.label([0, 1], [0, 1])
    expected = select("badge", wrap(net, head="body.0"), X, 3, labeled=[0, 1], rng=Rng(0).child("select", 0))
    assert learner.query(3).tolist() == expected.tolist()


class HuggingFace(Tokens):
    """As ``datasets.Dataset``: many items at once, and a method called ``batch`` that is something else."""

    def __getitems__(self, rows):
        assert all(type(row) is int for row in rows)
        return [self[row] for row in rows]

    def batch(self, batch_size, drop_last_batch=False):
        raise AssertionError


def test_data_sets_of_hugging_face(bert):
    assert select("badge", bert, HuggingFace(), 3).tolist() == select("badge", bert, Tokens(), 3).tolist()


def test_items_that_hold_lists(bert):
    """PyTorch's own collate function makes one tensor a position of them, not one of all."""
    data = [{"input_ids": ids.tolist()} for ids in IDS]
    assert select("badge", bert, data, 3).tolist() == select("badge", bert, IDS, 3).tolist()
    texts = [{"input_ids": "a text"} for _ in IDS]
    with pytest.raises(UnsupportedModel, match=r"called with a list as 'input_ids'; pass .*with_format\(\"torch\"\)"):
        select("badge", bert, texts, 3)
    stacked = lambda items: {"input_ids": torch.tensor([item["input_ids"] for item in items])}  # noqa: E731
    assert select("badge", bert, data, 3, collate=stacked).tolist() == select("badge", bert, IDS, 3).tolist()
