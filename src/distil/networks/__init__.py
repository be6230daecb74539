"""How a model is read: its logits, its embedding, its dropout samples, whatever made it.

* :mod:`distil.networks.wrap`: any model as a network;
* :mod:`distil.networks.base`: what a network is, and the capabilities that it may have;
* :mod:`distil.networks.torch_network`, :mod:`distil.networks.estimator`, :mod:`distil.networks.ensemble`: the networks;
* :mod:`distil.networks.model_inputs`, :mod:`distil.networks.model_outputs`, :mod:`distil.networks.output_kinds`: from a minibatch
  to what a module is called with, and from what it returns to logits and embedding;
* :mod:`distil.networks.head`: which layer makes the logits, and what it reads;
* :mod:`distil.networks.module_state`: what a module is like before it is asked, put back afterwards;
* :mod:`distil.networks.dropout_samples`, :mod:`distil.networks.dropout`, :mod:`distil.networks.trunk`: dropout samples;
* :mod:`distil.networks.timm_and_transformers`, :mod:`distil.networks.weights`, :mod:`distil.networks.memory_format`: models of
  other packages, files of weights, the order of an image's numbers.
"""
