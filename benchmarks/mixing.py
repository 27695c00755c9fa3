"""Two batches mixed: bmix_lite against torchvision's and timm's MixUp, and against reading both and writing one.

python benchmarks/mixing.py [--quick] [--json PATH]. Promised: at most 1.3 times the memory's own time. 40 s.
The promise holds with the C library's memory thresholds that sweeps set; the table is shown without them as well, where
each large batch is fetched anew from the system, page by page, and that takes longer than the mixing.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import torch
from pairs import finish, keep_memory, median_ratio, read_arguments, time_in_turn

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
    theirs, timms = (
        v2.MixUp(alpha=1.0, num_classes=classes),
        Mixup(mixup_alpha=1.0, num_classes=classes),
    )
    contenders = {
        MEMORY: lambda: torch.add(one, other, out=out),
        "bmix_lite, lam of the batch": lambda: balanced_mixup((one, soft), (other, soft), 0.3),
        "bmix_lite, lam of each image": lambda: balanced_mixup((one, soft), (other, soft), lam),
        "(1 - lam) * x + lam * y": lambda: (
            (1 - 0.3) * one + 0.3 * other,
            (1 - 0.3) * soft + 0.3 * soft,
        ),
        "torchvision v2.MixUp": lambda: theirs(one, labels),
    }
    contenders["timm Mixup"] = lambda: timms(one.clone(), labels)  # it mixes in place
    return contenders


def measure(quick):
    """A row for each size of batch: milliseconds of the memory, and times as long each contender takes."""
    torch.set_num_threads(1)
    rows = []
    for size, side in (
        [(32, 64), (32, 224)] if quick else [(32, 64), (32, 128), (32, 224), (128, 224)]
    ):
        contenders = make_contenders(size, side)
        time_in_turn(contenders, 3)
        seconds = time_in_turn(contenders, 30 if quick else 100, time.process_time)
        ratios = {name: median_ratio(seconds, name, MEMORY) for name in contenders}
        rows.append(
            {
                "images": size,
                "side": side,
                "ms": float(np.median(seconds[MEMORY])) * 1e3,
                "ratios": ratios,
            }
        )
    return rows


def show(title, rows):
    print(title)
    for row in rows:
        words = ", ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
        print(
            f"{row['images']} images of {row['side']} px, times {row['ms']:.2f} ms: {words}",
            flush=True,
        )


def main():
    parser = read_arguments(__doc__)
    parser.add_argument(
        "--as-it-is", action="store_true", help="print the rows alone: for this program's own use"
    )
    chosen = parser.parse_args()
    if chosen.as_it_is:
        print(json.dumps(measure(chosen.quick)))
        return 0
    keep_memory()
    rows = {"with the thresholds of sweeps": measure(chosen.quick)}
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    words = [sys.executable, __file__, "--as-it-is", *["--quick"] * chosen.quick]
    done = subprocess.run(words, env=env, check=True, stdout=subprocess.PIPE, text=True)
    rows["without them"] = json.loads(done.stdout)
    for title, found in rows.items():
        show(f"{title}:", found)
    worst = max(
        row["ratios"]["bmix_lite, lam of the batch"]
        for row in rows["with the thresholds of sweeps"]
    )
    return finish(chosen, rows, {"times reading both and writing one, at most": (worst, 1.3)})


if __name__ == "__main__":
    sys.exit(main())
