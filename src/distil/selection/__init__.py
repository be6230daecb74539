"""Selecting, once or in rounds.

* :mod:`distil.selection.select`: from a model and data, or from arrays, to the ids to label next;
* :mod:`distil.selection.arguments`: what callers may pass, and the checks of it;
* :mod:`distil.selection.choose`, :mod:`distil.selection.leaders`, :mod:`distil.selection.bfloat16`: how a strategy gets to choose;
* :mod:`distil.selection.from_files`, :mod:`distil.selection.request`, :mod:`distil.selection.dry_run`,
  :mod:`distil.selection.near_duplicates`: a selection from files of arrays;
* :mod:`distil.selection.learner`, :mod:`distil.selection.pool`, :mod:`distil.selection.oracle`: rounds of query, label and fit.
"""
