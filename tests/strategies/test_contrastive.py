"""CAL and FALCUN: what they pass to their kernels, and what they say."""

import torch

from distil import select_from
from distil.functional.contrastive import contrast
from distil.strategies import CAL, FALCUN

G = torch.Generator().manual_seed(0)
X = torch.randn(80, 3, generator=G)
PROBS = (2 * torch.randn(80, 4, generator=G)).softmax(1)
LABELED = [2, 30, 31, 55, 70]


def test_cal_orders_by_the_divergence_from_labeled_neighbors():
    found = select_from(CAL(n_neighbors=2), 10, embeddings=X, probs=PROBS, labeled=LABELED)
    pool = [i for i in range(80) if i not in LABELED]
    scores = contrast(X[pool], PROBS[pool], X[LABELED], PROBS[LABELED], 2)
    assert found.tolist() == [pool[i] for i in scores.argsort(descending=True)[:10].tolist()]
    assert found.reasons[0].startswith("divergence from labeled neighbors ")


def test_cal_without_labels_is_random_and_says_so():
    first, second = (select_from("cal", 10, embeddings=X, probs=PROBS, seed=seed) for seed in (0, 1))
    assert first.tolist() != second.tolist()
    assert first.notes == ("all 80 scores are equal: this is a random sample (as when nothing is labeled)",)


def test_falcun_reads_probabilities_alone():
    found = select_from(FALCUN(gamma=1e5), 5, probs=PROBS)
    top = PROBS.sort(1, descending=True).values
    assert found.tolist()[0] == int((top[:, 1] - top[:, 0]).argmax())
    assert found.reasons[0] == f"uncertainty + distance {2 - float(top[found[0], 0] - top[found[0], 1]):.3g}"
