"""Names of the classes of the published sets, in the order of their numbers."""

from __future__ import annotations

from typing import Final

DIGITS: Final = tuple("0123456789")

CIFAR_CLASSES: Final = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

# The fine labels; the set numbers them in alphabetical order.
CIFAR100_CLASSES: Final = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
    flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
    poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
    squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
    """.split()  # noqa: SIM905 - a hundred lines otherwise
)

FMNIST_CLASSES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# One hiragana from each row of the syllabary.
KMNIST_CLASSES: Final = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

STL10_CLASSES: Final = (
    "airplane",
    "bird",
    "car",
    "cat",
    "deer",
    "dog",
    "horse",
    "monkey",
    "ship",
    "truck",
)

SATIMAGE_CLASSES: Final = {  # number in the files -> name
    1: "red soil",
    2: "cotton crop",
    3: "gray soil",
    4: "damp gray soil",
    5: "soil with vegetation stubble",
    7: "very damp gray soil",  # class 6 (mixtures) has no examples
}
