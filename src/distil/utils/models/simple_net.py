"""``TwoLayerNet`` and ``ThreeLayerNet`` under a second module name that published scripts import.

DISTIL 0.1 had two versions of them. The version of this module had no ``freeze``, so that some strategies failed with it.
"""

from distil.utils.models.simpleNN_net import ThreeLayerNet, TwoLayerNet

__all__ = ["ThreeLayerNet", "TwoLayerNet"]
