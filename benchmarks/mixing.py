"""Two batches mixed: bmix_lite against torchvision's and timm's MixUp, and against the memory.

python benchmarks/mixing.py [--quick] [--json PATH]. Promised: at most 1.3 times as long as reading
both batches and writing one. 40 s. The promise holds with the C library's memory thresholds that
sweeps set; the table is also shown without them: there each large batch is fetched anew from the
system, page by page, and that takes longer than the mixing.
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
OURS = "bmix_lite, lam of the batch"
WITH_THRESHOLDS = "with the thresholds of sweeps"
QUICK = ((32, 64), (32, 224))  # images, pixels per side
ALL = ((32, 64), (32, 128), (32, 224), (128, 224))


def make_contenders(size, side, classes=5):
    """{name: function that mixes}; timm and torchvision mix one batch with itself."""
    from timm.data import Mixup
    from torchvision.transforms import v2

    generator = torch.Generator().manual_seed(0)
    one = torch.rand(size, 3, side, side, generator=generator)
    other = torch.rand(size, 3, side, side, generator=generator)
    labels = torch.randint(classes, (size,), generator=generator)
    soft = torch.eye(classes)[labels]
    lam = torch.rand(size, generator=generator)
    out = torch.empty_like(one)
    torchvision_mixup = v2.MixUp(alpha=1.0, num_classes=classes)
    timm_mixup = Mixup(mixup_alpha=1.0, num_classes=classes)

    def mix_plainly():
        return (1 - 0.3) * one + 0.3 * other, (1 - 0.3) * soft + 0.3 * soft

    return {
        MEMORY: lambda: torch.add(one, other, out=out),
        OURS: lambda: balanced_mixup((one, soft), (other, soft), 0.3),
        "bmix_lite, lam of each image": lambda: balanced_mixup((one, soft), (other, soft), lam),
        "(1 - lam) * x + lam * y": mix_plainly,
        "torchvision v2.MixUp": lambda: torchvision_mixup(one, labels),
        "timm Mixup": lambda: timm_mixup(one.clone(), labels),  # it mixes in place
    }


def measure(quick):
    """A row per size of batch: milliseconds of the memory, and how many times that each takes."""
    torch.set_num_threads(1)
    rows = []
    for size, side in QUICK if quick else ALL:
        contenders = make_contenders(size, side)
        time_in_turn(contenders, 3)
        seconds = time_in_turn(contenders, 30 if quick else 100, time.process_time)
        ratios = {name: median_ratio(seconds, name, MEMORY) for name in contenders}
        milliseconds = float(np.median(seconds[MEMORY])) * 1e3
        rows.append({"images": size, "side": side, "ms": milliseconds, "ratios": ratios})
    return rows


def measure_without_thresholds(quick):
    """The same in a process of its own, as the thresholds act only at the start."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, __file__, "--as-it-is"]
    if quick:
        command.append("--quick")
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def show(title, rows):
    print(f"{title}:")
    for row in rows:
        ratios = ", ".join(f"{name} {ratio:.2f}" for name, ratio in row["ratios"].items())
        size = f"{row['images']} images of {row['side']} px"
        print(f"{size}, times {row['ms']:.2f} ms: {ratios}", flush=True)


def main():
    parser = read_arguments(__doc__)
    parser.add_argument(
        "--as-it-is", action="store_true", help="only print the rows: for this program's own use"
    )
    chosen = parser.parse_args()
    if chosen.as_it_is:
        print(json.dumps(measure(chosen.quick)))
        return 0
    keep_memory()
    rows = {
        WITH_THRESHOLDS: measure(chosen.quick),
        "without them": measure_without_thresholds(chosen.quick),
    }
    for title, table in rows.items():
        show(title, table)
    worst = max(row["ratios"][OURS] for row in rows[WITH_THRESHOLDS])
    return finish(chosen, rows, {"times reading both and writing one, at most": (worst, 1.3)})


if __name__ == "__main__":
    sys.exit(main())
