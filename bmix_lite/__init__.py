"""bmix-lite: understand and use Balanced-MixUp (Galdran et al., MICCAI 2021) on imbalanced images.

The names below come from the package itself, `from bmix_lite import Recipe, load, train`; each is
imported when it is first asked for, so `import bmix_lite` costs nothing and loads no torch.
"""

__version__ = "0.1.0"
__all__ = [
    "METHODS",
    "BalancedMixUp",
    "BmixError",
    "ImageSet",
    "PairSampler",
    "Recipe",
    "balanced_mixup",
    "class_probabilities",
    "draw_lam",
    "embed",
    "load",
    "make_model",
    "mixed_class_probabilities",
    "operating_point",
    "predict",
    "prepare",
    "score",
    "train",
]

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from bmix_lite.base.errors import BmixError
    from bmix_lite.comparison.operating import operating_point
    from bmix_lite.data.datasets import load
    from bmix_lite.data.imageset import ImageSet
    from bmix_lite.distribution import (
        class_probabilities,
        draw_lam,
        mixed_class_probabilities,
    )
    from bmix_lite.inference import predict
    from bmix_lite.metrics import score
    from bmix_lite.mixing import balanced_mixup
    from bmix_lite.models import make_model
    from bmix_lite.pairs import BalancedMixUp, PairSampler
    from bmix_lite.preparation.embed import embed
    from bmix_lite.preparation.prepare import prepare
    from bmix_lite.recipe import METHODS, Recipe
    from bmix_lite.training import train

_HOME = {
    "METHODS": "recipe",
    "BalancedMixUp": "pairs",
    "BmixError": "base.errors",
    "ImageSet": "data.imageset",
    "PairSampler": "pairs",
    "Recipe": "recipe",
    "balanced_mixup": "mixing",
    "class_probabilities": "distribution",
    "draw_lam": "distribution",
    "embed": "preparation.embed",
    "load": "data.datasets",
    "make_model": "models",
    "mixed_class_probabilities": "distribution",
    "operating_point": "comparison.operating",
    "predict": "inference",
    "prepare": "preparation.prepare",
    "score": "metrics",
    "train": "training",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'bmix_lite' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"bmix_lite.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
