"""MedMNIST: one of its two-dimensional sets with one label an image, 28 to 224 pixels, with its official split.

python data_scripts/get_medmnist.py dermamnist --pixels 64
"""

import argparse
import sys

from bmix_lite.sources import File, Source, find_one, run

ORGANS = "bladder,femur left,femur right,heart,kidney left,kidney right,liver,lung left,lung right,pancreas,spleen"
SETS = {  # images in train, val and test, and the classes: Yang et al. 2023, table 2 and the package's info.py
    "pathmnist": (
        (89996, 10004, 7180),
        "adipose,background,debris,lymphocytes,mucus,smooth muscle,normal colon mucosa,cancer-associated stroma,"
        "colorectal adenocarcinoma epithelium",
    ),
    "dermamnist": (
        (7007, 1003, 2005),
        "actinic keratosis,basal cell carcinoma,benign keratosis,dermatofibroma,melanoma,melanocytic nevus,"
        "vascular lesion",
    ),
    "octmnist": ((97477, 10832, 1000), "choroidal neovascularization,diabetic macular edema,drusen,normal"),
    "pneumoniamnist": ((4708, 524, 624), "normal,pneumonia"),
    "retinamnist": ((1080, 120, 400), "no retinopathy,mild,moderate,severe,proliferative"),
    "breastmnist": ((546, 78, 156), "malignant,normal or benign"),
    "bloodmnist": (
        (11959, 1712, 3421),
        "basophil,eosinophil,erythroblast,immature granulocyte,lymphocyte,monocyte,neutrophil,platelet",
    ),
    "tissuemnist": (
        (165466, 23640, 47280),
        "collecting duct,distal convoluted tubule,glomerular endothelium,interstitial endothelium,leukocytes,"
        "podocytes,proximal tubule,thick ascending limb",
    ),
    "organamnist": ((34561, 6491, 17778), ORGANS),
    "organcmnist": ((12975, 2392, 8216), ORGANS),
    "organsmnist": ((13932, 2452, 8827), ORGANS),
}


def make_source(name, pixels):
    file = f"{name}.npz" if pixels == 28 else f"{name}_{pixels}.npz"
    images = dict(zip(("train", "val", "test"), SETS[name][0], strict=True))
    return Source(
        name=file.removesuffix(".npz"),
        title=f"MedMNIST, {name}, {pixels} px",
        page="https://medmnist.com",
        licence="CC BY-NC 4.0" if name == "dermamnist" else "CC BY 4.0",
        citation="Yang et al., Scientific Data 10, 41, 2023, and the source of the set named there",
        disk=f"{sum(images.values()) * pixels**2 * 3 / 1e6:.0f} MB at most, prepared as much",
        counts=images,
        files=(File(f"https://zenodo.org/records/10519652/files/{file}", file),),
        class_names={str(number): label for number, label in enumerate(SETS[name][1].split(","))},
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="And --from, --out, --jobs, --strict as in the others."
    )
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--pixels", type=int, choices=(28, 64, 128, 224), default=28)
    chosen, rest = parser.parse_known_args(arguments)
    source = make_source(chosen.set, chosen.pixels)
    return run(source, lambda folder: {"source": find_one(folder, source.files[0].name)}, arguments=rest)


if __name__ == "__main__":
    sys.exit(main())
