"""What `Recipe.paper` is made of: the settings of the authors' runs.

Sources: Galdran et al., MICCAI 2021, section 3.2; their released code and logs,
github.com/agaldran/balanced_mixup, commit 20ac592.
"""

# SGD without momentum or weight decay; the rate falls tenfold when the validation score stalls, and
# the run ends where it would fall below 1e-4, as 75 of the 114 published runs did
PAPER = dict(
    model="mobilenet_v2",
    weights="imagenet",
    augment="paper",
    epochs=30,
    batch_size=8,
    optimizer="sgd",
    lr=0.01,
    momentum=0.0,
    weight_decay=0.0,
    schedule="val_plateau",
    min_lr=1e-4,
    precision="fp32",
)
# the training images that the logs count: whole batches of a shuffle with Balanced-MixUp, else
# every batch, of images drawn with replacement
PAPER_DRAWS = {
    "balanced": dict(base_draw="shuffle", short_batch="drop"),
    "others": dict(base_draw="replacement", short_batch="keep"),
}
PAPER_IMAGES = dict(size=512, fit="stretch")  # for `prepare`
