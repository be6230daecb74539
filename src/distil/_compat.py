"""What other packages need before they can be imported here."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import torch

_MISSING_OPERATOR = re.compile(r"operator torchvision::(\w+) does not exist")
_SCHEMAS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# The operators defined here live as long as these objects do.
_defined: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """torchvision, also beside a torch that its compiled operators do not fit.

    The wheels on PyPI are linked to CUDA. Beside a CPU build of torch their operators do not load, and ``import torchvision``
    fails on the first of them that it describes (``operator torchvision::nms does not exist``). Defining those names, without
    giving them anything to do, lets the rest - models, data sets, transforms - work; ``torchvision.ops.nms`` does not. Where the
    import works by itself, nothing is touched. Call it before packages that import torchvision themselves, such as timm.

    Raises:
        ImportError: torchvision is not installed, or fails for another reason.
    """
    for _ in range(8):
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = _MISSING_OPERATOR.search(str(error))
            if missing is None:
                raise
            for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
                del sys.modules[name]  # half imported
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(missing[1] + _SCHEMAS)
            _defined.append(library)
    raise ImportError("torchvision cannot be imported beside this torch")
