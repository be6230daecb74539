"""Data: the pool of ids and who has which label, data sets by name, and shifts of a data set.

* :mod:`distil.datasets.load`: data sets by name, local files first;
* :mod:`distil.datasets.transforms`: what is done to a batch of images before a network sees it;
* :mod:`distil.datasets.image_formats`, :mod:`distil.datasets.matlab`, :mod:`distil.datasets.tables`: the readers, each of which trusts
  nothing it reads;
* :mod:`distil.datasets.locations`, :mod:`distil.datasets.download`: where files lie, and how the sets of images are fetched;
* :mod:`distil.datasets.shift`: noise, imbalance and redundancy, made on purpose;
* :mod:`distil.datasets.class_names`: what the classes of the published sets are called.
"""
