"""The keys of a configuration: the type, default and meaning of each. Rules that join keys are checked elsewhere.

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
from distil.tasks import Task
from distil.training.config import FitConfig
from distil.training.linear_head import HeadConfig
from distil.utils.models import architecture_names

MOST_SEEDS = 10_000
MOST_THREADS = 1_024
LINEAR_HEAD = "linear_head"
ORACLE_IN_PYTHON = "an object passed in Python"
"""The record of an oracle that no name can import again."""
OURS = "ours"
"""Marks a key that the DISTIL document does not have."""

Count: TypeAlias = Annotated[int, Field(ge=1)]
Text: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""Not empty, and without NUL characters, which paths cannot have."""
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
        "An architecture, one of `distil.utils.models.architecture_names()`; or `linear_head`, logistic regression fitted to its "
        "optimum; or your own, `package.module:callable`, which is called with `num_classes` and all other keys of this section.",
        (*architecture_names(), LINEAR_HEAD),
    )
    target_classes: Count = _key(
        "Number of outputs, at least the number of classes of the data set. Mandatory in classification, except for your own data."
    )
    input_dim: Count = _key("Input width of networks for tables. Default: that of the data.")
    hidden_units_1: Count = _key(
        "Width of the first hidden layer. Mandatory for `two_layer_net` and `three_layer_net`."
    )
    hidden_units_2: Count = _key("Width of the second hidden layer. Mandatory for `three_layer_net`.")
    channel: Count = _key(
        "Number of input channels of image architectures; undocumented, but in published files. Default: that of the data."
    )
    net_size: Annotated[float, Field(gt=0), OURS] = _key(
        "Width multiplier of `shufflenetv2`: 0.5, 1, 1.5 or 2. Default: 1."
    )


class OwnModel(Section):
    """The user's own architecture, which may take any keys."""

    model_config = ConfigDict(extra="allow")

    architecture: Imported = _needed("`package.module:callable`.")
    target_classes: Count = _key("Number of outputs; passed on as `num_classes`.")


class HeadModel(Section):
    """The linear head."""

    architecture: Literal["linear_head"] = _needed("`linear_head`.")
    target_classes: Count = _key("Number of outputs, as for other architectures.")


class AnyTraining(Section):
    """The settings that every training takes."""

    islogs: bool = _key("Whether to append the documented log to `logs_location`.", False)
    logs_location: Text | None = _key(
        "File of the documented log; mandatory with `islogs`. Several runs write one file each, with strategy and seed in its name."
    )
    device: Text | None = _key(
        "Device to train and select on, for example `cuda`. Default: the CPU, or the device of your own architecture."
    )
    isverbose: bool | None = _key("Accepted without effect: a progress bar is always shown.")


class HeadParameters(AnyTraining):
    """The fit of a linear head; ``HeadConfig`` checks the values of its own fields."""

    decay: Annotated[SkipValidation[float | Literal["auto"]], OURS] = _key(
        "Weight of the penalty, from 1e-8, for rows of mean squared norm 1; `auto`: chosen on the labeled set with a temperature, "
        "by leave-one-out up to 20 labels and by five folds beyond.",
        HeadConfig.decay,
    )
    class_weights: Annotated[SkipValidation[Literal["none", "balanced"]], OURS] = _key(
        "`balanced`: every class that occurs among the labels counts the same, however many labels it has.",
        HeadConfig.class_weights,
    )


class TrainParameters(AnyTraining):
    """The training of each round; ``FitConfig`` checks the values of its own fields."""

    lr: SkipValidation[float] = _needed("Learning rate of the first epoch, above 0.")
    batch_size: SkipValidation[int] = _needed("Number of examples in a minibatch.")
    n_epoch: SkipValidation[int] = _needed("Largest number of epochs.")
    max_accuracy: SkipValidation[float | None] = _key(
        "Stop after an epoch whose training accuracy, a fraction, reaches this. Default: never.", FitConfig.max_accuracy
    )
    isreset: bool = _key("`true`: new weights every round; `false`: continue from the last round's weights.", True)
    retrain: Annotated[Retrain, OURS] = _key(
        "In place of `isreset`: start every round from new weights (`scratch`), from the last round's weights (`warm`), or from "
        "the last round's weights shrunk towards 0 with noise added (`shrink_perturb`)."
    )
    optimizer: SkipValidation[Literal["sgd", "adam", "adamw"]] = _key(
        "Optimizer, as in `torch.optim`.", FitConfig.optimizer
    )
    min_diff_acc: SkipValidation[float] = _key(
        "Smallest gain in training accuracy, a fraction, that `window_size` counts as progress.", FitConfig.min_diff_acc
    )
    window_size: SkipValidation[int | None] = _key(
        "Stop if none of the last `window_size` training accuracies is `min_diff_acc` above an earlier one of them; `null`: never.",
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


class StrategyArgs(Section):
    """Arguments of every strategy; the strategies check all keys but these two."""

    model_config = ConfigDict(extra="allow")

    batch_size: Count | None = _key("Number of examples in one forward pass over the pool.")
    device: Text | None = _key("Device to train and select on, unless `train_parameters.device` is given.")


class StrategyEntry(Section):
    """An entry of ``strategies`` with settings of its own."""

    name: Text = _needed("A strategy, or `package.module:callable`.", tuple(sorted(STRATEGIES)))
    args: dict[str, Any] | None = _key("Arguments of this strategy, added to `strategy_args`.")
    label: Text = _key("Name of this strategy in results, also the name of its folder. Default: its name.")
    retrain: Retrain | None = _key("As in `train_parameters`, for this strategy alone.")
    candidates: Count | None = _key("As in `active_learning`, for this strategy alone.")


class InitialStrategy(Section):
    """The strategy that chooses the initial points, with its arguments."""

    name: Text = _needed("A strategy that needs no model, or `package.module:callable`.", tuple(sorted(STRATEGIES)))
    args: dict[str, Any] = _key("Arguments of this strategy.", {})


class Stop(Section):
    """When a run ends before its last round: as soon as one of the rules says so."""

    kappa: Annotated[Fraction, OURS] = _key(
        "Stop when the predictions are stable: Cohen's kappa between one round and the next on 1,000 random examples of the pool, "
        "averaged over `window` pairs of rounds, is at least this, such as 0.99."
    )
    window: Annotated[Count, OURS] = _key(
        "Number of pairs of rounds for `kappa`, and of rounds in a row for `gain`.", 3
    )
    mean_uncertainty: Annotated[Fraction, OURS] = _key(
        "Stop when 1 minus the largest probability, averaged over the unlabeled of these examples, is at most this, such as 0.05."
    )
    largest_uncertainty: Annotated[Fraction, OURS] = _key(
        "Stop when the most uncertain of them has at most this; with `mean_uncertainty`, both must be so."
    )
    gain: Annotated[Fraction, OURS] = _key(
        "Stop when the forecast of the accuracy on the validation points says, in `window` rounds in a row, that 100 labels add at "
        "most this, such as 0.005; needs `dataset.validation_points`."
    )
    ahead: Annotated[Count, OURS] = _key("Number of labels that the forecast for `gain` looks ahead.", 100)
    labels: Annotated[Count, OURS] = _key("Stop at this number of labels.")


class ActiveLearning(Section):
    """The active-learning loop; each strategy is checked by itself."""

    strategy: SkipValidation[str | StrategyEntry] = _key("The strategy to run. Give either this or `strategies`.")
    strategies: Annotated[list[SkipValidation[str | StrategyEntry]], Field(min_length=1), OURS] = _key(
        "The strategies to compare: names, or objects "
        '`{"name": ..., "args": {...}, "label": ..., "retrain": ..., "candidates": ...}`; `args` are added to `strategy_args`, '
        "`label` names the strategy in results, and the last two replace the keys of the same name for this strategy."
    )
    budget: Count = _needed("Number of examples per selection.")
    rounds: Count = _needed(
        "Number of rounds. Round 0 trains on the initial points, so there are `rounds - 1` selections."
    )
    initial_points: Count = _key("Number of examples labeled at the start. Default: the budget.")
    initial_strategy: Annotated[SkipValidation[str | InitialStrategy], OURS] = _key(
        'The strategy that chooses the initial points: a name, or an object `{"name": ..., "args": {...}}`. It reads only '
        "the inputs, in the form that the network receives, so it must need only embeddings; `auto` then is `maxherding`. "
        "Default: random points."
    )
    candidates: Annotated[Count | None, OURS] = _key(
        "Number of random examples of the unlabeled pool that the strategy chooses from, drawn anew each round. Default: all."
    )
    stop: Annotated[SkipValidation[Stop], OURS] = _key(
        "When a run ends before its last round: a JSON object with the keys below. Default: never."
    )
    strategy_args: SkipValidation[StrategyArgs | None] = _key(
        "Arguments of the strategies. Every strategy accepts `batch_size` (of the forward passes over the pool), `device`, "
        "`n_drop` (dropout masks), `lr`, `eps`, `max_iter`, `submod` and `selection_type`, and ignores those that it does not "
        "have; other keys must be its own parameters."
    )


class DataSection(Section):
    """Keys that every data set has: its split, and changes to its pool. The other keys belong to the reader."""

    task: Annotated[Task, OURS] = _key(
        "What the labels are: one class for each example; `multilabel`, any number of labels; or `regression`, numbers.",
        "classification",
    )
    test_points: Annotated[Count, OURS] = _key(
        "Number of test examples to hold out, drawn anew for every seed; only for a data set without a test split of its own. "
        "Default: a quarter."
    )
    validation_points: Annotated[Count, OURS] = _key(
        "Number of examples to hold out for early stopping, and for strategies that read a validation set; their accuracy is "
        "reported every round. Default: none."
    )
    redundancy: Annotated[int, Field(ge=2), OURS] = _key(
        "A number r: the pool is a random 1/r of the remaining examples, each repeated r times; ids are positions in that pool."
    )
    label_noise: Annotated[Fraction | None, OURS] = _key(
        "Share of the pool's labels to make wrong: each is changed to another class at random."
    )
    imbalance: Annotated[Fraction | None, OURS] = _key(
        "Share of the classes to make rare in the pool: each keeps a tenth as many examples as the smallest class has."
    )


class NamedData(DataSection):
    """A data set that the library reads by name."""

    name: Text = _needed("A data set of the list below; or your own, `package.module:callable`.", data_set_names())
    path: Annotated[Text | None, OURS] = _key(
        "The file, for `csv` (also `.tsv`, `.xlsx`, `.json`, `.jsonl` or `.parquet`), `libsvm` and `npz`."
    )
    test_path: Annotated[Text | None, OURS] = _key(
        "The file of the test set, for `csv`, `libsvm` and `npz`. Default: `test_points` of the rows are held out."
    )
    label: Annotated[int | Text | Annotated[list[int | Text], Field(min_length=1)], OURS] = _key(
        "The label column of `csv`, by its number from 0 or its name; or a list of several, for targets or for labels of 0 and 1. "
        "Default: `label`, `labels`, `class` or `target`, else the last; a column `id` is not a feature."
    )
    standardize: Annotated[bool, OURS] = _key(
        "Whether to bring every column of a table to mean 0 and standard deviation 1 over the pool of each seed; test and "
        "validation points are scaled by the same numbers. Default: `true` for tables in `csv`, `libsvm` and `npz`, else `false`."
    )
    quoting: Annotated[SkipValidation[Literal["minimal", "none"]], OURS] = _key(
        "Whether cells of `csv` may be quoted (`minimal`), or quotes are text (`none`). Default: "
        "`none` for `.tsv` without quoted names, else `minimal`."
    )
    download: Annotated[bool, OURS] = _key(
        "Whether to download missing files; the option `--download` does the same.", False
    )


class CalledData(DataSection):
    """A data set of the user's own callable, which may take any keys."""

    model_config = ConfigDict(extra="allow")

    name: Imported = _needed("`package.module:callable`, which returns a `DataSet`.")


class OwnData(DataSection):
    """A data set of the user's own examples, as embeddings."""

    standardize: Annotated[bool, OURS] = _key(
        "Whether to bring every column to mean 0 and standard deviation 1 over the pool of each seed, minibatch by minibatch. "
        "Default: `false` for `linear_head`, which divides all columns by one number, else `true`."
    )
    quoting: Annotated[SkipValidation[Literal["minimal", "none"]], OURS] = _key(
        "Whether cells of csv and tsv files may be quoted (`minimal`), or quotes are text (`none`). Default: "
        "`none` for `.tsv` without quoted names, else `minimal`."
    )
    name: Annotated[Text, OURS] = _key("The data set's name in results. Default: the name of the file.")
    sha256: Annotated[Text | None, OURS] = _key(
        "Hash of the numbers, ids and labels. A run writes it into its `config.json`, and refuses data with another hash."
    )


class EmbeddingsData(OwnData):
    """A data set of the user's own embeddings."""

    embeddings: Annotated[Text, OURS] = _needed(
        "File of the array, in any format that `distil select --embeddings` reads; `FILE#NAME` names an array or column in the "
        "file. Formats that can be memory-mapped are not read into memory."
    )
    labels: Annotated[Text | None, OURS] = _key(
        "A table with the columns `id` and `label`: a label, text or whole number, for every row of the array, in any order. Or a "
        "folder of images in one folder for each class: the ids are paths below it. Needed, unless people answer "
        "(`experiment.oracle`): the table may then lack rows, and be left out if there are `test_labels`."
    )
    test_embeddings: Annotated[Text | None, OURS] = _key(
        "File of the test set's array; needs `test_labels`. Default: `test_points` of the rows are held out."
    )
    test_labels: Annotated[Text | None, OURS] = _key("The test set's table of `id` and `label`.")


class EncodedData(OwnData):
    """A data set of the user's own images or texts, which an encoder embeds once."""

    encoder: Annotated[Text, OURS] = _needed("The model of the embeddings, as in `distil embed --model`.")
    weights: Annotated[Text | None, OURS] = _key("The file with the weights of a timm model.")
    column: Annotated[Text | None, OURS] = _key(
        "The column of texts or image paths of a table. Default: found by name and content."
    )
    labels: Annotated[Text | None, OURS] = _key(
        "A table with the columns `id` and `label`, or a folder of images in one folder for each class. Default: the column "
        "`label` of the table, or the folders that the images are in. If people answer (`experiment.oracle`), items may lack a "
        "label."
    )
    test_labels: Annotated[Text | None, OURS] = _key("The same for the test set.")


class ImagesData(EncodedData):
    """A data set of the user's own images."""

    images: Annotated[Text, OURS] = _needed("A folder of images, or a table of their paths.")
    test_images: Annotated[Text | None, OURS] = _key(
        "The test set's folder or table. Default: `test_points` of the images are held out."
    )


class TextsData(EncodedData):
    """A data set of the user's own texts."""

    texts: Annotated[Text, OURS] = _needed(
        "A table of texts: `.csv`, `.tsv`, `.xlsx`, `.json`, `.jsonl` or `.parquet`."
    )
    test_texts: Annotated[Text | None, OURS] = _key(
        "The test set's table. Default: `test_points` of the texts are held out."
    )


class ExperimentSection(Section):
    """Seeds, output and other settings of the experiment."""

    seed: int = _key("The only seed. Give either this or `seeds`.", 0)
    seeds: (
        Annotated[int, Field(ge=1, le=MOST_SEEDS)] | Annotated[list[int], Field(min_length=1, max_length=MOST_SEEDS)]
    ) = _key("Number of seeds (0, 1, ...), or a list of seeds: one run per seed and strategy.")
    split_seed: FixedSeed = _key(
        "Seed of the split and of the changes to the pool, the same for all runs. Default: the run's seed."
    )
    initial_seed: FixedSeed = _key("Seed of the initial labels, the same for all runs. Default: the run's seed.")
    model_seed: FixedSeed = _key("Seed of weights and minibatch order, the same for all runs. Default: the run's seed.")
    selection_seed: FixedSeed = _key("Seed of the strategy's draws, the same for all runs. Default: the run's seed.")
    output: Text | None = _key("Directory of the results. Default: `runs/NAME OF THE FILE`.")
    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = _key(
        "Number of threads to compute with. The last digits of sums depend on it, so it is recorded.", 1
    )
    target_accuracy: Fraction | None = _key(
        'Accuracy that "labels needed" in the table refers to; in multi-label classification macro F1, in regression R2.'
    )
    full_data: bool = _key(
        "Whether to train once per seed on the whole pool, as an upper bound; `distil compare` does so by default.",
        False,
    )
    ceiling: bool = _key(
        "Whether to run a ceiling too, once per seed: each round keeps the best of 100 candidate selections, found with the true "
        "labels; see docs/comparing.md.",
        False,
    )
    oracle: Text | None = _key(
        "What answers the queries: `project PATH`, the people who label in the project at that path; or `package.module:callable`, "
        "which is called with the strategy and the seed of a run and returns an object with the method `ask`. Default: the labels "
        "of the data set. The directory of an experiment that was begun in Python with `run_all(config, oracle=...)` records it "
        "here."
    )
    trackers: list[Tracker] = _key("Tools to log every run to; the option `--track` does the same.", [])
    data: Text | None = _key("Directory to look for data sets in first; the option `--data` does the same.")


class Configuration(Section):
    """The configuration of a distil experiment."""

    model: SkipValidation[NamedModel | OwnModel] = _needed("The network.")
    train_parameters: SkipValidation[TrainParameters | HeadParameters] = _needed("The training of each round.")
    active_learning: SkipValidation[ActiveLearning] = _needed("The strategies, budget and rounds.")
    dataset: SkipValidation[NamedData | CalledData | EmbeddingsData | ImagesData | TextsData] = _needed(
        "The examples and labels."
    )
    experiment: SkipValidation[ExperimentSection] = _key("Seeds, output and other settings of the experiment.", {})
    logs: Any = _key("Ignored with a warning; two published files have this section.")
