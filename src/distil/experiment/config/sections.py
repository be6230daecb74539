"""The keys of a configuration: the type, default and meaning of each. How keys depend on one another is checked elsewhere.

Error messages, the tables of docs/configuration.md and the JSON Schema for editors are all made from these classes. A key whose
default is None and whose type has no None may be left out, but must not be null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from distil.datasets.load import data_set_names
from distil.experiment.trackers import TRACKERS
from distil.selection.learner import Retrain
from distil.strategies import STRATEGIES
from distil.training.config import FitConfig
from distil.utils.models import architecture_names

MOST_SEEDS = 10_000
OURS = "ours"
"""Marks a key that the DISTIL document does not have."""

Count: TypeAlias = Annotated[int, Field(ge=1)]
Text: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""Not empty, and without the NUL characters that no path has."""
Fraction: TypeAlias = Annotated[float, Field(gt=0, le=1)]
FixedSeed: TypeAlias = Annotated[int, Field(ge=0)]
Tracker: TypeAlias = Annotated[
    str, Field(pattern=f"^({'|'.join(TRACKERS)})$", json_schema_extra={"enum": list(TRACKERS)})
]
Imported: TypeAlias = Annotated[str, Field(pattern=":")]


def _key(meaning: str, default: Any = None) -> Any:  # noqa: ANN401
    return Field(default, description=meaning)


def _needed(meaning: str, examples: tuple[str, ...] = ()) -> Any:  # noqa: ANN401
    return Field(description=meaning, examples=list(examples) or None)


class Section(BaseModel):
    """A JSON object of a configuration: other keys are refused, and no value is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True, protected_namespaces=())


class NamedModel(Section):
    """One of the library's architectures."""

    architecture: Text = _needed(
        "An architecture, one of `distil.utils.models.architecture_names()`; or your own, `package.module:callable`, which is "
        "called with `num_classes` and the other keys of this section, whatever they are.",
        architecture_names(),
    )
    target_classes: Annotated[int, Field(ge=2)] = _key(
        "Number of outputs; at least the classes of the data set. Mandatory, except for your own embeddings."
    )
    input_dim: Count = _key("Input width of networks for tables. Default: that of the data.")
    hidden_units_1: Count = _key(
        "Width of the first hidden layer. Mandatory for `two_layer_net` and `three_layer_net`."
    )
    hidden_units_2: Count = _key("Width of the second hidden layer. Mandatory for `three_layer_net`.")
    channel: Count = _key(
        "Input channels of image architectures; undocumented, but in published files. Default: those of the data."
    )
    net_size: Annotated[float, Field(gt=0), OURS] = _key(
        "Width multiplier of `shufflenetv2`: 0.5, 1, 1.5 or 2. Default: 1."
    )


class OwnModel(Section):
    """The user's own architecture, which takes whatever keys it likes."""

    model_config = ConfigDict(extra="allow")

    architecture: Imported = _needed("`package.module:callable`.")
    target_classes: Annotated[int, Field(ge=2)] = _key("Number of outputs; passed on as `num_classes`.")


class TrainParameters(Section):
    """How each round is trained; ``FitConfig`` checks the values that it takes."""

    lr: SkipValidation[float] = _needed("Learning rate of the first epoch, above 0.")
    batch_size: SkipValidation[int] = _needed("Examples in a minibatch.")
    n_epoch: SkipValidation[int] = _needed("Epochs at most.")
    max_accuracy: SkipValidation[float | None] = _key(
        "Stop after an epoch whose training accuracy, a fraction, reaches this. Default: never.", FitConfig.max_accuracy
    )
    isreset: bool = _key("`true`: new weights every round; `false`: continue from the last ones.", True)
    retrain: Annotated[Retrain, OURS] = _key(
        "In place of `isreset`: start every round from new weights (`scratch`), from the last ones (`warm`), or from the last ones "
        "shrunk towards 0 with noise added (`shrink_perturb`)."
    )
    islogs: bool = _key("Whether to append the documented log to `logs_location`.", False)
    logs_location: Text | None = _key(
        "The file of that log; mandatory with `islogs`. Several runs write one file each, with strategy and seed in its name."
    )
    optimizer: SkipValidation[Literal["sgd", "adam", "adamw"]] = _key("The optimizer.", FitConfig.optimizer)
    min_diff_acc: SkipValidation[float] = _key(
        "Gain in training accuracy that counts as progress, a fraction.", FitConfig.min_diff_acc
    )
    window_size: SkipValidation[int | None] = _key(
        "Stop when, among the last `window_size` training accuracies, none is `min_diff_acc` above an earlier one; `null`: never.",
        FitConfig.window_size,
    )
    momentum: Annotated[SkipValidation[float], OURS] = _key("Momentum of `sgd`, in [0, 1).", FitConfig.momentum)
    weight_decay: Annotated[SkipValidation[float | None], OURS] = _key(
        "Weight decay, at least 0. Default: 5e-4 for `sgd`, 0 for `adam`, 0.01 for `adamw`.", FitConfig.weight_decay
    )
    schedule: Annotated[SkipValidation[Literal["cosine", "constant"]], OURS] = _key(
        "`cosine` lowers the learning rate towards 0 over `n_epoch` epochs; `constant` keeps it.", FitConfig.schedule
    )
    amp: Annotated[SkipValidation[Literal["auto"] | bool], OURS] = _key(
        "Forward passes in bfloat16: everywhere (`true`), nowhere (`false`), or on accelerators that compute in it (`auto`).",
        FitConfig.amp,
    )
    patience: Annotated[SkipValidation[int | None], OURS] = _key(
        "Stop after this many epochs without a better accuracy on the validation points, and restore the best weights. "
        "Default: never.",
        FitConfig.patience,
    )
    device: Text | None = _key(
        "Where to train and select, for example `cuda`. Default: the CPU, or where your own architecture is."
    )
    isverbose: bool | None = _key("Accepted without effect: a bar shows the progress.")


class StrategyArgs(Section):
    """Arguments of every strategy; the strategies themselves check all but these two."""

    model_config = ConfigDict(extra="allow")

    batch_size: Count | None = _key("Examples in one forward pass over the pool.")
    device: Text | None = _key("Where to train and select, unless `train_parameters.device` says so.")


class StrategyEntry(Section):
    """A strategy of ``strategies`` with settings of its own."""

    name: Text = _needed("A strategy, or `package.module:callable`.", tuple(sorted(STRATEGIES)))
    args: dict[str, Any] | None = _key("Its arguments, added to `strategy_args`.")
    label: Text = _key("What its results are filed under: the name of a folder. Default: its name.")
    retrain: Retrain | None = _key("As in `train_parameters`, for this strategy alone.")
    candidates: Count | None = _key("As in `active_learning`, for this strategy alone.")


class ActiveLearning(Section):
    """The loop of selecting and training; each strategy is checked by itself."""

    strategy: SkipValidation[str | StrategyEntry] = _key("The strategy to run. Give either this or `strategies`.")
    strategies: Annotated[list[SkipValidation[str | StrategyEntry]], Field(min_length=1), OURS] = _key(
        "The strategies to compare: names, or objects "
        '`{"name": ..., "args": {...}, "label": ..., "retrain": ..., "candidates": ...}`.'
    )
    budget: Count = _needed("Examples per selection.")
    rounds: Count = _needed(
        "Rounds, counting round 0, which trains on the initial points: there are `rounds - 1` selections."
    )
    initial_points: Count = _key("Random examples labeled at the start. Default: the budget.")
    candidates: Annotated[Count | None, OURS] = _key(
        "How many random examples of the unlabeled pool the strategy chooses among, drawn anew each round. Default: all."
    )
    strategy_args: SkipValidation[StrategyArgs | None] = _key(
        "`batch_size` (of the forward passes over the pool), `device`, `n_drop` (dropout masks), `lr`, `eps`, `max_iter`, "
        "`submod`, `selection_type`: every strategy accepts all of them and uses those it has. "
        "Besides, whatever the strategy itself takes."
    )


class DataSection(Section):
    """What every data set has: how it is split, and what is done to its pool. The other keys are those of its reader."""

    test_points: Annotated[Count, OURS] = _key(
        "Examples held out, drawn anew for every seed, where the set has no test split of its own. Default: a quarter."
    )
    validation_points: Annotated[Count, OURS] = _key(
        "Examples held out for early stopping, whose accuracy is reported every round. Default: none."
    )
    redundancy: Annotated[int, Field(ge=2), OURS] = _key(
        "r: the pool is a random 1/r of the examples left, each r times; ids are positions in that pool."
    )
    label_noise: Annotated[Fraction | None, OURS] = _key(
        "Share of the pool's labels that are wrong, each changed to one of the other classes at random."
    )
    imbalance: Annotated[Fraction | None, OURS] = _key(
        "Share of the classes that are rare in the pool: each has a tenth of the smallest class."
    )


class NamedData(DataSection):
    """A data set that the library reads by name."""

    name: Text = _needed("A data set of the list below; or your own, `package.module:callable`.", data_set_names())
    path: Annotated[Text | None, OURS] = _key("The file of `csv`, `libsvm` and `npz`.")
    test_path: Annotated[Text | None, OURS] = _key("The file of their test set. Default: `test_points` of the rows.")
    label: Annotated[int | Text, OURS] = _key(
        "The label column of `csv`, by its number from 0 or its name. Default: `label`, `labels`, `class` or `target`, "
        "else the last; `id` is no feature."
    )
    standardize: Annotated[bool, OURS] = _key(
        "Every column of `csv`, `libsvm` and `npz` to mean 0 and standard deviation 1.", False
    )
    download: Annotated[bool, OURS] = _key("Download what is missing; so does `--download`.", False)


class CalledData(DataSection):
    """A data set of the user's own callable, which takes whatever keys it likes."""

    model_config = ConfigDict(extra="allow")

    name: Imported = _needed("`package.module:callable`, which returns a `DataSet`.")


class EmbeddingsData(DataSection):
    """A data set of the user's own embeddings."""

    embeddings: Annotated[Text, OURS] = _needed(
        "The array, as `distil select --embeddings` reads it; with `FILE#NAME`, that array or column of the file. It is mapped, "
        "not read, where the file allows it."
    )
    labels: Annotated[Text, OURS] = _needed(
        "A table of `id` and `label`, a label for every row, in any order; names or whole numbers."
    )
    test_embeddings: Annotated[Text | None, OURS] = _key(
        "The test set's array; goes with `test_labels`. Default: `test_points` of the rows."
    )
    test_labels: Annotated[Text | None, OURS] = _key("The test set's table.")
    standardize: Annotated[bool, OURS] = _key(
        "Every column to mean 0 and standard deviation 1, minibatch by minibatch.", True
    )
    name: Annotated[Text, OURS] = _key("The data set's name in results. Default: the name of the file.")
    sha256: Annotated[Text | None, OURS] = _key(
        "Hash of what was read: numbers, ids and labels. A run writes it into its `config.json` and refuses other content."
    )


class ExperimentSection(Section):
    """What a researcher needs besides."""

    seed: int = _key("The one seed to run. Give either this or `seeds`.", 0)
    seeds: (
        Annotated[int, Field(ge=1, le=MOST_SEEDS)] | Annotated[list[int], Field(min_length=1, max_length=MOST_SEEDS)]
    ) = _key("How many seeds (0, 1, ...), or a list of them: one run per seed and strategy.")
    split_seed: FixedSeed = _key(
        "The same seed in all replicates for the split, and for what is done to the pool. Default: each replicate's own."
    )
    initial_seed: FixedSeed = _key("The same for the initial labels.")
    model_seed: FixedSeed = _key("The same for weights and minibatch order.")
    selection_seed: FixedSeed = _key("The same for the strategy's draws.")
    output: Text | None = _key("The directory of the experiment. Default: `runs/NAME OF THE FILE`.")
    threads: Count = _key("Threads to compute with. The last digits of sums depend on it, so it is recorded.", 1)
    target_accuracy: Fraction | None = _key('Accuracy of "labels needed" in the table.')
    full_data: bool = _key("Train once per seed on the whole pool, as an upper bound; `distil compare` does.", False)
    trackers: list[Tracker] = _key("Where every run is logged as it goes; so does `--track`.", [])
    data: Text | None = _key("Where data sets are looked for first; so does `--data`.")


class Configuration(Section):
    """The configuration of a distil experiment."""

    model: SkipValidation[NamedModel | OwnModel] = _needed("The network.")
    train_parameters: SkipValidation[TrainParameters] = _needed("How each round is trained.")
    active_learning: SkipValidation[ActiveLearning] = _needed("What is selected, by which strategies.")
    dataset: SkipValidation[NamedData | CalledData | EmbeddingsData] = _needed("The examples and labels.")
    experiment: SkipValidation[ExperimentSection] = _key("Seeds, output and what else a researcher needs.", {})
    logs: Any = _key("Of two published files; read past with a warning.")
