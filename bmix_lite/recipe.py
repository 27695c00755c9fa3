"""`Recipe`, one run completely described; its method is a row of `METHODS`. No torch."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmix_lite.base.errors import (
    BmixError,
    require_alpha,
    require_choice,
    require_type,
    suggest,
)
from bmix_lite.base.sameness import hash_weights, name_dataset
from bmix_lite.distribution import require_sampling
from bmix_lite.methods import METHODS, check_method, define_method
from bmix_lite.paper import PAPER, PAPER_DRAWS

CHOICES = {  # register_loss, register_mixing, register_schedule and register_metric add to them
    "mixing": ("none", "mixup", "balanced", "cutmix", "remix", "cmo"),
    "lam_per": ("batch", "image"),
    "base_draw": ("shuffle", "replacement"),
    "balanced_draw": ("replacement", "deck"),
    "short_batch": ("keep", "drop"),
    "budget": ("steps", "images"),
    "loss": (
        "cross_entropy",
        "weighted",
        "focal",
        "class_balanced",
        "label_smoothing",
        "ldam_drw",
        "balanced_softmax",
        "logit_adjusted",
    ),
    "weight_mean": ("classes", "images"),
    "posthoc": ("none", "logit_adjustment", "tau_norm", "crt"),
    "model": (
        *("small_cnn", "mobilenet_v2", "resnext50", "bit_m_r50x1", "efficientnet_lite0"),
        *("linear", "mlp"),  # of features
    ),
    "head": ("default", "cosine"),
    "augment": ("none", "flips", "upright", "medical", "paper"),
    "optimizer": ("sgd", "adamw"),
    "schedule": ("cosine", "constant", "plateau", "val_plateau"),
    "monitor": ("balanced_accuracy", "accuracy", "macro_f1", "mcc", "kappa", "macro_auc"),
    "precision": ("auto", "fp32", "bf16"),
}


@dataclass(frozen=True, repr=False)
class Recipe:
    """One run, completely. Wrong names, types and values raise BmixError when it is made."""

    dataset: str = "digits_lt"  # a built-in name or a prepared folder
    split: int = 0  # of the images, see `load`
    # base stream: 1 instance-, 1/2 square-root-, 0 class-balanced, or a name of SAMPLINGS
    q: float | str = 1.0
    mixing: str = "none"
    # balanced: lam ~ Beta(alpha, 1); all others: Beta(alpha, alpha); 0 never mixes
    alpha: float = 0.0
    mix_probability: float = 1.0  # that a batch is mixed
    lam_per: str = "batch"
    base_draw: str = "shuffle"  # of q = 1: every image once, or drawn as all other streams are
    balanced_draw: str = "replacement"
    short_batch: str = "keep"  # the last batch of an epoch, where it is not whole
    # what is equal for all methods: steps, or images read (two per image of a Balanced-MixUp step)
    budget: str = "steps"
    loss: str = "cross_entropy"
    weight_mean: str = "classes"  # class weights of a loss have mean 1 over classes, or over images
    posthoc: str = "none"  # what is done to the last layer of the trained network
    model: str = "small_cnn"
    head: str = "default"  # last layer: the model's own, or cosines times 30
    weights: str = ""
    augment: str = "upright"
    # epochs and lr: best mean validation score of five rows, three of them mixing, on one split of
    # digits_lt, by benchmarks/tune.py
    epochs: int = 60
    batch_size: int = 32
    optimizer: str = "sgd"  # SGD with Nesterov momentum
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup_epochs: int = 0
    min_lr: float = 0.0  # training ends before an epoch whose plateau rate would be lower
    monitor: str = "balanced_accuracy"  # on validation: chooses the epoch that is kept
    precision: str = "auto"  # bf16 on a GPU that has it, else fp32
    threads: int = 1  # CPU threads; another number changes rounding, and so the run
    seed: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = getattr(field.type, "__name__", str(field.type))  # of float | str it is the text
            object.__setattr__(self, field.name, require_type(field.name, value, kind))
        for name, choices in CHOICES.items():
            require_choice(name, getattr(self, name), choices)
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if value < lowest:
                raise BmixError(f"{name} must be at least {lowest}, got {value!r}")
        for name, highest in _HIGHEST.items():
            value = getattr(self, name)
            if value > highest:
                raise BmixError(f"{name} must be at most {highest}, got {value!r}")
        require_alpha(self.alpha)
        require_sampling(self.q)
        check_method(self)
        self._check_rates()

    def _check_rates(self):
        if self.lr <= 0:
            raise BmixError(f"lr must be above 0, got {self.lr!r}")
        if self.momentum >= 1:
            raise BmixError(f"momentum must be below 1, got {self.momentum!r}")
        if self.schedule in ("cosine", "constant") and self.min_lr != 0:
            words = f"min_lr must be 0 where schedule is not 'plateau', got {self.min_lr!r}"
            raise BmixError(words)
        if self.min_lr >= self.lr:
            raise BmixError(f"min_lr must be below lr, got {self.min_lr!r}")
        if self.warmup_epochs >= self.epochs:
            raise BmixError(f"warmup_epochs must be below epochs, got {self.warmup_epochs}")

    @classmethod
    def make(cls, method: str, **fields: Any) -> "Recipe":
        """The recipe of a row of METHODS with other fields set.

            Recipe.make("balanced_mixup", alpha=0.1, seed=3)

        Fields that are None keep the method's value or the default. Raises BmixError for a field
        that contradicts the method.
        """
        require_choice("method", method, tuple(METHODS))  # a list in its place is refused, too
        known = [field.name for field in dataclasses.fields(cls)]
        for name in METHODS[method] | fields:
            if name not in known:
                raise BmixError(f"{name!r} is not a field of Recipe{suggest(name, known)}")
        given = {name: value for name, value in fields.items() if value is not None}
        recipe = cls(**METHODS[method] | given)
        meaning = define_method(method)
        got = {name: getattr(recipe, name) for name in meaning}
        if got != meaning:
            raise BmixError(f"method {method!r} means {meaning}, got {got}")
        return recipe

    @classmethod
    def paper(cls, dataset: str, method: str = "balanced_mixup", **fields: Any) -> "Recipe":
        """The recipe of the authors' runs: Galdran et al., MICCAI 2021, their code and their logs.

        dataset: prepared with `paper.PAPER_IMAGES`; its name decides the metric that chooses the
        epoch and lowers the rate, kappa for EyePACS, else MCC. fields override:
        model="bit_m_r50x1". Lesson 10 lists what is ours, and how to have theirs.
        """
        monitor = "kappa" if "eyepacs" in Path(dataset).name.lower() else "mcc"
        ours = PAPER | {"dataset": dataset, "monitor": monitor}
        mixing = METHODS.get(method, {}).get("mixing")
        draws = PAPER_DRAWS["balanced" if mixing == "balanced" else "others"]
        return cls.make(method, **ours | draws | fields)

    @classmethod
    def on_features(cls, dataset: str, method: str = "balanced_mixup", **fields: Any) -> "Recipe":
        """The recipe of a head on the features of a frozen network.

        dataset: a folder made by `embed`; fields override: model="mlp", epochs=60.
        """
        return cls.make(method, **ON_FEATURES | {"dataset": dataset} | fields)

    @property
    def method(self) -> str:
        """The row of METHODS that says most of this recipe, or "custom"."""
        fields = self.asdict()
        rows = [name for name in METHODS if define_method(name).items() <= fields.items()]
        return max(rows, key=lambda name: len(define_method(name)), default="custom")

    def asdict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return dataclasses.asdict(self)

    def identity(self) -> dict[str, Any]:
        """The fields by what they mean: the same on another machine, or in a folder that was moved.

        A folder of data is its name (what it holds, its fingerprint says), a file of weights the
        hash of its content.
        """
        fields = self.asdict()
        fields["dataset"] = name_dataset(self.dataset)
        fields["weights"] = hash_weights(self.weights) or self.weights
        return fields

    def __repr__(self):
        """The call that makes it, with the fields that are not the method's or the default."""
        method = self.method
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        usual |= METHODS.get(method, {})
        changed = {name: value for name, value in self.asdict().items() if value != usual[name]}
        arguments = [f"{name}={value!r}" for name, value in changed.items()]
        if method == "custom":
            return f"Recipe({', '.join(arguments)})"
        return f"Recipe.make({', '.join([repr(method), *arguments])})"


# of a head on frozen features; its dropout of 0.5 is part of the models
ON_FEATURES = dict(model="linear", augment="none", epochs=30, batch_size=64)
ON_FEATURES |= dict(optimizer="adamw", lr=0.003, weight_decay=0.01)


_LOWEST = dict(
    split=0,
    epochs=1,
    batch_size=2,
    weight_decay=0,
    momentum=0,
    warmup_epochs=0,
    min_lr=0,
    threads=1,
    seed=0,
)
_HIGHEST = dict(threads=1024)  # a computer with more cannot be meant
