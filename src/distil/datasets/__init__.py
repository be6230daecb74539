"""Data sets by name, local files first.

* :mod:`distil.datasets.load`: the sets by name; :mod:`distil.datasets.data_set`: what they are;
* :mod:`distil.datasets.image_formats`, :mod:`distil.datasets.matlab`, :mod:`distil.datasets.tables`,
  :mod:`distil.datasets.embeddings`: the readers, each of which trusts nothing it reads;
* :mod:`distil.datasets.locations`, :mod:`distil.datasets.download`: where files lie, and how the sets of images are fetched;
* :mod:`distil.datasets.transforms`, :mod:`distil.datasets.shift`: what is done to images, and noise, imbalance and redundancy;
* :mod:`distil.datasets.class_names`: what the classes of the published sets are called;
* :mod:`distil.datasets.labeled_items`: a pool and a table of labels as training data.
"""
