"""Two batches mixed: bmix_lite against torchvision's and timm's MixUp, and against reading both and writing one.

python benchmarks/mixing.py [--quick] [--json PATH]. Promised: at most 1.3 times the memory's own time. 20 s.
"""

import sys

import numpy as np
import torch
from pairs import finish, median_ratio, read_arguments, time_in_turn

from bmix_lite.mixing import balanced_mixup

MEMORY = "read both, write one"


def make_contenders(size, side, classes=5):
    """{name: function that mixes}; timm and torchvision mix a batch of as many images with itself."""
    from timm.data import Mixup
    from torchvision.transforms import v2

    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(size, 3, side, side, generator=generator) for _ in range(2))
    labels = torch.randint(classes, (size,), generator=generator)
    soft = torch.eye(classes)[labels]
    lam = torch.rand(size, generator=generator)
    out = torch.empty_like(one)
    theirs, timms = v2.MixUp(alpha=1.0, num_classes=classes), Mixup(mixup_alpha=1.0, num_classes=classes)
    contenders = {
        MEMORY: lambda: torch.add(one, other, out=out),
        "bmix_lite, lam of the batch": lambda: balanced_mixup((one, soft), (other, soft), 0.3),
        "bmix_lite, lam of each image": lambda: balanced_mixup((one, soft), (other, soft), lam),
        "(1 - lam) * x + lam * y": lambda: ((1 - 0.3) * one + 0.3 * other, (1 - 0.3) * soft + 0.3 * soft),
        "torchvision v2.MixUp": lambda: theirs(one, labels),
    }
    contenders["timm Mixup"] = lambda: timms(one.clone(), labels)  # it mixes in place
    return contenders


def main():
    chosen = read_arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    rows, worst = [], 0.0
    for size, side in [(32, 64), (32, 224)] if chosen.quick else [(32, 64), (32, 128), (32, 224), (128, 224)]:
        contenders = make_contenders(size, side)
        time_in_turn(contenders, 3)
        seconds = time_in_turn(contenders, 30 if chosen.quick else 100)
        ratios = {name: median_ratio(seconds, name, MEMORY) for name in contenders}
        rows.append({"images": size, "side": side, "ms": float(np.median(seconds[MEMORY])) * 1e3, "ratios": ratios})
        words = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        print(f"{size} images of {side} px, times {rows[-1]['ms']:.2f} ms: {words}", flush=True)
        worst = max(worst, ratios["bmix_lite, lam of the batch"])
    return finish(chosen, rows, {"times reading both and writing one, at most": (worst, 1.3)})


if __name__ == "__main__":
    sys.exit(main())
