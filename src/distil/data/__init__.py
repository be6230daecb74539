"""What users have: arrays, files, images, tables, data frames; and their ids.

* :mod:`distil.data.file_readers`, :mod:`distil.data.array_files`, :mod:`distil.data.ids`, :mod:`distil.data.images`: files;
* :mod:`distil.data.pools`, :mod:`distil.data.items`: pools with the user's ids;
* :mod:`distil.data.examples`, :mod:`distil.data.arrays`, :mod:`distil.data.minibatches`: from examples to minibatches;
* :mod:`distil.data.distances`: exact nearest neighbors.
"""
