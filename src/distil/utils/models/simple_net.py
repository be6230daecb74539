"""``TwoLayerNet`` and ``ThreeLayerNet`` under the other name that published scripts import them by.

DISTIL 0.1 had them twice; those of this module could not be frozen, so that some strategies failed with them.
"""

from distil.utils.models.simpleNN_net import ThreeLayerNet, TwoLayerNet

__all__ = ["ThreeLayerNet", "TwoLayerNet"]
