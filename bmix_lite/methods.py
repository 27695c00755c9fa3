"""`METHODS`, the compared methods as rows of recipe fields, and which of these go together."""

from typing import Any

from bmix_lite.base.errors import BmixError

# alpha is the papers' where they name one; losses and streams are described where they are made
METHODS: dict[str, dict[str, Any]] = {
    "instance": dict(q=1.0),
    "class_balanced": dict(q=0.0),
    "square_root": dict(q=0.5),
    "progressive": dict(q="progressive"),
    "effective": dict(q="effective"),
    "mixup": dict(mixing="mixup", alpha=0.2),
    # every second batch: the authors' setting for small images, CIFAR
    "cutmix": dict(mixing="cutmix", alpha=1.0, mix_probability=0.5),
    "remix": dict(mixing="remix", alpha=1.0),
    "cmo": dict(mixing="cmo", alpha=1.0, mix_probability=0.5),
    "balanced_mixup": dict(mixing="balanced", alpha=0.2),
    "weighted_loss": dict(loss="weighted"),
    "focal": dict(loss="focal"),
    "class_balanced_loss": dict(loss="class_balanced"),
    "label_smoothing": dict(loss="label_smoothing"),
    "ldam_drw": dict(loss="ldam_drw", head="cosine"),
    "balanced_softmax": dict(loss="balanced_softmax"),
    "logit_adjusted": dict(loss="logit_adjusted"),
    "balanced_mixup_softmax": dict(mixing="balanced", alpha=0.2, loss="balanced_softmax"),
    # from the finished run of the row without `posthoc`, see `training.train`
    "logit_adjusted_posthoc": dict(posthoc="logit_adjustment"),
    "tau_norm": dict(posthoc="tau_norm"),
    "crt": dict(posthoc="crt"),
    "balanced_mixup_adjusted": dict(mixing="balanced", alpha=0.2, posthoc="logit_adjustment"),
}

WEIGHTED = ("weighted", "class_balanced", "ldam_drw")  # losses with a weight for each class
# what is trained on known class shares, so that logit adjustment after training can undo them
KNOWN_SHARES = {
    "mixing": ("none", "mixup", "cutmix", "balanced"),
    "loss": ("cross_entropy", "weighted", "focal", "class_balanced", "label_smoothing"),
}


def define_method(name):
    """What makes a recipe this row of METHODS: {field: value}.

    Mixing and loss; the base stream, unless it mixes; head and posthoc, where the row names them.
    """
    row = dict(q=1.0, mixing="none", loss="cross_entropy") | METHODS[name]
    mixes = row["mixing"] != "none"
    for field in ("alpha", "mix_probability", *(["q"] if mixes else [])):
        row.pop(field, None)
    return row


def check_method(recipe):
    """Raise BmixError unless the fields that make the method of a recipe go together."""
    if recipe.mixing == "none" and recipe.alpha != 0:
        raise BmixError(f"alpha must be 0 where mixing is 'none', got {recipe.alpha!r}")
    if not 0 < recipe.mix_probability <= 1:
        rule = "mix_probability must lie above 0 and be at most 1"
        raise BmixError(f"{rule}, got {recipe.mix_probability!r}")
    if recipe.mixing == "none" and recipe.mix_probability != 1:
        got = f"got {recipe.mix_probability!r}"
        raise BmixError(f"mix_probability must be 1 where mixing is 'none', {got}")
    if recipe.weight_mean != "classes" and recipe.loss not in WEIGHTED:
        losses = ", ".join(WEIGHTED)
        got = f"got weight_mean={recipe.weight_mean!r} with loss={recipe.loss!r}"
        raise BmixError(f"only the losses {losses} have class weights, {got}")
    if recipe.loss == "ldam_drw" and recipe.head != "cosine":
        rule = "loss='ldam_drw' needs head='cosine': its margins are differences of cosines"
        raise BmixError(f"{rule}, got head={recipe.head!r}")
    _check_posthoc(recipe)


def _check_posthoc(recipe):
    if recipe.posthoc == "tau_norm" and recipe.head == "cosine":
        raise BmixError(
            "posthoc='tau_norm' rescales the class weights of the last layer: head='cosine' has "
            "them at length 1 already"
        )
    if recipe.posthoc == "logit_adjustment":
        check_known_shares(recipe)


def check_known_shares(recipe):
    """Raise BmixError unless the class shares that a recipe trains on are known: KNOWN_SHARES."""
    for field, known in KNOWN_SHARES.items():
        value = getattr(recipe, field)
        if value not in known:
            rule = f"logit adjustment after training needs {field} to be one of {', '.join(known)}"
            raise BmixError(f"{rule}, got {value!r}: {_explain(field, value)}")


def _explain(field, value):
    if value in ("balanced_softmax", "logit_adjusted"):
        return "the loss has corrected for the class shares, which would be corrected twice"
    if value == "ldam_drw":
        return "its margins stand for the correction"
    return f"the class shares that this {field} trains on are not known in closed form"
