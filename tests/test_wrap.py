"""Models of every kind, unchanged: what is found in them, and what is said where nothing is."""

import functools
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Dataset

import distil
from distil._compat import import_torchvision
from distil.ensemble import Ensemble
from distil.errors import InvalidInput, UnsupportedModel
from distil.estimator import Estimator
from distil.network import TorchNetwork
from distil.rng import Rng
from distil.runtime import Runtime
from distil.select import NetworkSource, gather, select, select_from
from distil.signals import Embedding, Logits, Probs
from distil.wrap import wrap

N, CLASSES = 12, 3
IMAGES = torch.randn(N, 3, 32, 32, generator=torch.Generator().manual_seed(0))
X = torch.randn(N, 6, generator=torch.Generator().manual_seed(1))
SMALL = Runtime(batch_size=5)


def measured(model, data, *, collate=None):
    """Logits and embedding of all of ``data``, in minibatches of five."""
    source = NetworkSource(wrap(model), data, torch.arange(len(data)), collate=collate)
    table = gather(source, (Logits(), Embedding(), Probs()), SMALL, Rng(0))
    return table[Logits()], table[Embedding()], table[Probs()]


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
    "dpn48b": {},  # its head is a convolution
}


@pytest.mark.parametrize("name", TIMM)
def test_timm(name, timm, seeded, fingerprint):
    model = seeded(timm.create_model, name, num_classes=CLASSES, **TIMM[name])
    embedding = check_module(model, IMAGES, model.get_classifier(), fingerprint)
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(IMAGES), pre_logits=True)
    torch.testing.assert_close(embedding, expected.flatten(1), rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name, models, seeded, fingerprint):
    model = seeded(getattr(models, name), num_classes=CLASSES)
    check_module(model, IMAGES, model.get_submodule(TORCHVISION[name]), fingerprint)
    assert f"the input of {TORCHVISION[name]})" in repr(wrap(model, example=IMAGES[:2]))


def test_a_named_convolution_is_a_head(models, seeded):
    """SqueezeNet puts ReLU behind its head, so no layer gives its logits."""
    model = seeded(models.squeezenet1_1, num_classes=CLASSES).eval()
    with pytest.raises(UnsupportedModel, match=r"distil\.wrap\(model, head="):
        select("core_set", model, IMAGES, 3)
    _, embedding, _ = measured(wrap(model, head="classifier.1"), IMAGES)
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
    """Dicts, as a tokenizer makes them, with the labels that a Trainer wants."""

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


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_collate_function_of_the_user(bert, num_workers):
    """Texts of different lengths cannot be stacked without one."""
    data = Tokens(padded=False)
    runtime = Runtime(batch_size=5, num_workers=num_workers)
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        select("margin_sampling", bert, data, 3, runtime=SMALL)
    found = select("margin_sampling", bert, data, 3, collate=padding, runtime=runtime)
    assert found.tolist() == select("margin_sampling", bert, Tokens(), 3).tolist()
    if num_workers == 0:
        same_picks_as_arrays(bert, data, collate=padding)


@pytest.mark.parametrize("kind", ["cls", "mean", "pooled"])
def test_the_embeddings_of_transformers(kind, bert, fingerprint):
    embedding = check_module(bert, Tokens(), None, fingerprint, call=plain(bert), model=wrap(bert, embedding=kind))
    with torch.no_grad():
        base = bert.bert(input_ids=IDS, attention_mask=MASK)
    hidden = base.last_hidden_state
    mean = torch.stack([row[:length].mean(0) for row, length in zip(hidden, LENGTHS, strict=True)])
    expected = {"cls": hidden[:, 0], "mean": mean, "pooled": base.pooler_output}[kind]
    torch.testing.assert_close(embedding, expected)


def test_without_a_pooler(transformers, seeded):
    config = transformers.DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=32, vocab_size=50, num_labels=CLASSES)
    model = seeded(transformers.DistilBertForSequenceClassification, config)
    assert len(select("core_set", wrap(model, embedding="mean"), IDS, 3)) == 3
    with pytest.raises(UnsupportedModel, match="wants the base model's pooler_output, and it gives none; pass 'cls' or"):
        wrap(model, embedding="pooled", example=IDS)


def test_other_models_have_no_cls(net):
    with pytest.raises(UnsupportedModel, match="embedding='cls' is for models of transformers, and Net has no base_model"):
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

    found = select("glister", bert, Labeled(), 3, labeled=range(6), validation=range(6))
    pair = select("glister", bert, Labeled(), 3, labeled=range(6), validation=range(6))
    assert found.tolist() == pair.tolist()
