"""The command python -m bmix_lite embed: its options, and what it does."""

from bmix_lite.base.cluster import ADDRESS

MODEL = "efficientnet_lite0"


def add_embed(embed):
    """Add the options of the command to its parser."""
    add = embed.add_argument
    add("dataset", help="prepared folder or built-in name")
    about = "a network of the kit, or timm/NAME (default: %(default)s)"
    add("--model", default=MODEL, help=about)
    about = "imagenet, or a file; for timm/NAME always a file (default: %(default)s)"
    add("--weights", default="imagenet", help=about)
    add("--size", type=int, help="pixels of a side (default: of the images, at least 128)")
    add("--out", help="the new folder (default: beside the images, NAME-MODEL)")
    add("--threads", type=int, help="of the CPU (default: all cores)")
    add("--scheduler", help=ADDRESS)


def run_embed(options):
    """Begin with photographs: what a pretrained network makes of them, a dataset for heads."""
    from bmix_lite.preparation.embed import embed

    names = ("weights", "size", "out", "threads", "scheduler")
    given = {name: getattr(options, name) for name in names}
    print(embed(options.dataset, options.model, **given))
