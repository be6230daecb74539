"""Data: the pool of ids and who has which label, data sets by name, and shifts of a data set.

* :mod:`distil.data.datasets`: data sets by name, local files first;
* :mod:`distil.data.transforms`: what is done to a batch of images before a network sees it;
* :mod:`distil.data.formats`, :mod:`distil.data.matlab`, :mod:`distil.data.tables`: the readers, each of which trusts
  nothing it reads;
* :mod:`distil.data.places`, :mod:`distil.data.download`: where files lie, and how the sets of images are fetched;
* :mod:`distil.data.shift`: noise, imbalance and redundancy, made on purpose;
* :mod:`distil.data.classes`: what the classes of the published sets are called.
"""
