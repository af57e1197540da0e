"""The usual names of arrays with images, labels and class names in a NumPy file."""

import re
from collections.abc import Iterable

Role = tuple[str, str]
"""The part (train, val or test) and IMAGES or LABELS, or CLASS_NAMES."""
IMAGES, LABELS = "images", "labels"
CLASS_NAMES: Role = ("all", "class_names")
PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
WORDS = {
    IMAGES: {"x", "image", "images", "img", "imgs", "data", "pixels", "arr 0"},
    LABELS: {"y", "label", "labels", "target", "targets", "arr 1"},
    CLASS_NAMES[1]: {"names", "classes", "class names", "label names", "target names"},
}


def roles(names: Iterable[str]) -> dict[Role, str]:
    """The array of each role. The images and labels of no part are for train; other arrays have no role.

    Raises:
        ValueError: the images or the labels of a part are missing, or two arrays have the same role.
    """
    every = list(names)
    found: dict[Role, str] = {}
    for name in every:
        role = _role(name)
        if role in found:
            raise ValueError(f"the arrays {found[role]} and {name} have the same meaning; leave one out")
        if role:
            found[role] = name
    images, labels = ({part for part, kind in found if kind == wanted} for wanted in (IMAGES, LABELS))
    if "train" not in images & labels or images != labels:
        raise ValueError(
            f"has the arrays {', '.join(every) or 'none'}; name them images and labels, or train_images, train_labels, "
            "test_images and test_labels, or x_train, y_train, x_test and y_test"
        )
    return found


def _role(name: str) -> Role | None:
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
    parts = [PARTS[word] for word in words if word in PARTS]
    rest = " ".join(word for word in words if word not in PARTS)
    kind = next((kind for kind, known in WORDS.items() if rest in known), None)
    if kind is None or len(parts) > 1:
        return None
    return CLASS_NAMES if kind == CLASS_NAMES[1] else ((parts or ["train"])[0], kind)
