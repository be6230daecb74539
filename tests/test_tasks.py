"""The names of tasks."""

import pytest

from distil.errors import InvalidInput
from distil.tasks import TASKS, as_task


def test_names_of_tasks():
    assert [as_task(task) for task in TASKS] == ["classification", "multilabel", "regression"]
    for wrong in (None, "", "Regression", 3):
        with pytest.raises(InvalidInput, match="task must be one of 'classification', 'multilabel', 'regression', got"):
            as_task(wrong)
    with pytest.raises(InvalidInput, match="did you mean 'multilabel'"):
        as_task("multi_label")
