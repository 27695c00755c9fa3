"""The kinds of faults that images and labels can have: the rule of each, and whether it stops."""

from dataclasses import dataclass

LEVELS = ("stop", "bad", "warning", "note")

# kind: (level, rule). "stop" always ends the preparation; "bad" does unless on_bad="skip" leaves
# the images out
KINDS = {
    "path": ("stop", "A path must lie inside the folder of the images, and be plain text."),
    "spelling": (
        "stop",
        "Labels that read the same are one class: write them alike, or give them one name by "
        "class_names.",
    ),
    "aliases": (
        "stop",
        "Groups that read the same are one patient or lesion: write them alike.",
    ),
    "empty": ("stop", "A class folder must hold images: fill or remove it."),
    "lost": (
        "stop",
        "A class lost all its images, or all of one part, to other faults: fix those, or leave the "
        "class out of the table.",
    ),
    "part": (
        "stop",
        "A part of the split that came with the data must have images: fix their faults, or take "
        "the part out of the data, and a fold of train replaces it.",
    ),
    "untrained": ("stop", "A split that is given must have training images of every class."),
    "single": ("stop", "There must be at least two classes."),
    "few": (
        "stop",
        "A class needs an image for each fold: merge it with another, leave it out, or bring a "
        "split.",
    ),
    "row": ("bad", "A row must have as many fields as the header."),
    "missing": ("bad", "A file that is listed must be there."),
    "unreadable": (
        "bad",
        "A file must hold one whole image that can be read: get it again or convert it.",
    ),
    "label": ("bad", "Every image needs a label, of the same form as the others."),
    "group": (
        "bad",
        "Every image needs its group (patient, lesion), or its folds cannot be trusted.",
    ),
    "split": ("bad", "The split must be train, val or test, and a fold a number from 0."),
    "stray": ("bad", "An image must lie directly in the folder of its class."),
    "box": ("bad", "A box must enclose a part of its image."),
    "point": ("bad", "A line of a file of points must be x y class, in pixels of its photograph."),
    "companion": (
        "bad",
        "An image that lies beside another under the same name plus a word (a mask, a preview) is "
        "no photograph. leave_out=PATTERN leaves such files out; leave_out=[] says that all are "
        "meant.",
    ),
    "second_copy": (
        "bad",
        "The set must not lie in itself once more: give the folder that is meant, or say what is "
        "not, leave_out=PATTERN.",
    ),
    "packed": (
        "bad",
        "An archive among the images is not looked into: unpack it, or say that it is not meant, "
        "leave_out=PATTERN.",
    ),
    "depth": (
        "bad",
        "Grey files of more than 8 bits must use the depth that is said, taken together: bits=12 "
        "makes 4095 white, bits=16 65535, and so on.",
    ),
    "twice": ("bad", "An image must be listed once. The first row is kept."),
    "conflict": ("bad", "One image must have one label. None of its rows is kept."),
    "duplicate": (
        "bad",
        "Two images must not have the same content. One is kept, that of test before that of "
        "train.",
    ),
    "near": (
        "bad",
        "Nearly the same image must not lie on two sides of a split. That of the test side is "
        "kept.",
    ),
    "leak": ("bad", "A group must lie on one side of a split only. Its test images are kept."),
    "alike": (
        "warning",
        "Nearly the same image, twice: a split may part them. A group that they share prevents "
        "that.",
    ),
    "beside": (
        "warning",
        "Images that look like companions of others, and that no pattern of leave_out fits, are "
        "used: are they photographs?",
    ),
    "ungrouped": (
        "warning",
        "Images of one patient, lesion or video must share a group, or a split parts them: say "
        "group_from=PATTERN, or which column it is.",
    ),
    "depths": (
        "warning",
        "Some grey files seem to be of another depth than the others: were they exported alike?",
    ),
    "channels": (
        "warning",
        "Some images are grey and others have colours, not equally often in all classes: a network "
        "can tell such classes by that alone.",
    ),
    "absent": (
        "warning",
        "A class is missing from a part: a split that is dealt so is not loaded, and with a part "
        "that came so nothing is trained.",
    ),
    "nobody": (
        "warning",
        "A group that looks like a missing value is taken for one patient or lesion: is it one?",
    ),
    "unused": ("warning", "A class that was named has no image: it is left out."),
    "names": ("warning", "An odd class name: is it meant?"),
    "grades": (
        "warning",
        "Grades need their order, or kappa is not computed: say whether they are in it.",
    ),
    "ending": (
        "warning",
        "Files that begin like an image and are not used for the ending of their names: rename "
        "them.",
    ),
    "namesakes": ("warning", "Names of files that read the same: is it one image?"),
    "sizes": (
        "warning",
        "Images of unusual size or shape: thumbnails, scans of forms, wrong files?",
    ),
    "unfinished": (
        "warning",
        "The table does not end with a line break: was its writing cut short?",
    ),
    "lookalike": (
        "note",
        "Pairs that look alike, but no more than other images of the set do: hardly copies.",
    ),
    "left_out": ("note", "Files and folders that leave_out fits are not used."),
    "unlisted": ("note", "Images in the folder that no row lists are not used."),
    "ignored": ("note", "Files that are no images by their names are not used."),
    "merged": ("note", "Labels that class_names gives one name are one class."),
    "renumbered": ("note", "Training numbers the classes from 0."),
}


def as_text(name):
    """A name whose bytes are no UTF-8, as text that can be printed and written."""
    return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Fault:
    """One fault.

    where: file, row or class; found: what is there
    images, drop: numbers in the list of images: those to look at, and those that on_bad="skip"
    leaves out
    asides: Items of images that are not in the list, as they lack a label, a group or a part
    """

    kind: str
    where: str
    found: str
    images: tuple = ()
    drop: tuple = ()
    asides: tuple = ()

    def __post_init__(self):
        for name in ("where", "found"):  # names of files whose bytes are no text come as surrogates
            object.__setattr__(self, name, as_text(getattr(self, name)))

    @property
    def level(self):
        """One of LEVELS."""
        return KINDS[self.kind][0]


def shorten(names, most=10):
    """The first names of a long list, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
