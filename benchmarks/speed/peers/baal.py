"""baal: BALD by dropout, the passes included."""

from __future__ import annotations

import copy
import re
import sys

import torch

from benchmarks.speed import models
from benchmarks.speed.spec import Found, Given, Prepared


def bald(given: Given) -> Prepared:
    """``ModelWrapper.predict_on_dataset`` of an ``MCDropoutModule``, and the heuristic ``BALD``."""
    _fit_torchvision()
    from baal import ModelWrapper
    from baal.active.heuristics import BALD
    from baal.bayesian.dropout import MCDropoutModule
    from baal.modelwrapper import TrainingArgs

    network = models.read(given)
    x = torch.from_numpy(given["x"])
    images = torch.utils.data.TensorDataset(x, torch.zeros(len(x)))
    arguments = TrainingArgs(batch_size=256, use_cuda=False, workers=0)

    def run(k: int) -> Found:
        wrapper = ModelWrapper(MCDropoutModule(copy.deepcopy(network)), arguments)
        predictions = wrapper.predict_on_dataset(images, given.size["t"], verbose=False)
        ranks, scores = BALD().get_ranks(predictions)
        return Found(ranks[:k].copy(), float(scores[ranks[:k]].mean()))

    return run


def _fit_torchvision() -> None:
    """Import torchvision with a CPU build of torch: its compiled operators do not load, and only their names are needed."""
    for _ in range(8):
        try:
            import torchvision  # noqa: F401
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            for name in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            _DEFINED.append(torch.library.Library("torchvision", "FRAGMENT"))
            _DEFINED[-1].define(missing[1] + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        else:
            return


_DEFINED: list[torch.library.Library] = []
