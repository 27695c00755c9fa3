"""MedMNIST: a two-dimensional set with one label per image, 28 to 224 pixels, official split.

python data_scripts/get_medmnist.py dermamnist --pixels 64
"""

import argparse
import sys

from common.sources import File, Source, find_one, run

ORGANS = (
    "bladder,femur left,femur right,heart,kidney left,kidney right,liver,lung left,lung right,"
    "pancreas,spleen"
)
# images in train, val and test, and the classes: Yang et al. 2023, table 2, the package's info.py
SETS = {
    "pathmnist": (
        (89996, 10004, 7180),
        "adipose,background,debris,lymphocytes,mucus,smooth muscle,normal colon mucosa,"
        "cancer-associated stroma,colorectal adenocarcinoma epithelium",
    ),
    "dermamnist": (
        (7007, 1003, 2005),
        "actinic keratosis,basal cell carcinoma,benign keratosis,dermatofibroma,melanoma,"
        "melanocytic nevus,vascular lesion",
    ),
    "octmnist": (
        (97477, 10832, 1000),
        "choroidal neovascularization,diabetic macular edema,drusen,normal",
    ),
    "pneumoniamnist": ((4708, 524, 624), "normal,pneumonia"),
    "retinamnist": ((1080, 120, 400), "no retinopathy,mild,moderate,severe,proliferative"),
    "breastmnist": ((546, 78, 156), "malignant,normal or benign"),
    "bloodmnist": (
        (11959, 1712, 3421),
        "basophil,eosinophil,erythroblast,immature granulocyte,lymphocyte,monocyte,neutrophil,"
        "platelet",
    ),
    "tissuemnist": (
        (165466, 23640, 47280),
        "collecting duct,distal convoluted tubule,glomerular endothelium,interstitial endothelium,"
        "leukocytes,podocytes,proximal tubule,thick ascending limb",
    ),
    "organamnist": ((34561, 6491, 17778), ORGANS),
    "organcmnist": ((12975, 2392, 8216), ORGANS),
    "organsmnist": ((13932, 2452, 8827), ORGANS),
}
PIXELS = (28, 64, 128, 224)
MD5 = {  # of the files of each set, in the order of PIXELS: the package's info.py, version 3.0.2
    "pathmnist": "a8b06965200029087d5bd730944a56c1 55aa9c1e0525abe5a6b9d8343a507616 "
    "ac42d08fb904d92c244187169d1fd1d9 2c51a510bcdc9cf8ddb2af93af1eadec",
    "dermamnist": "0744692d530f8e62ec473284d019b0c7 b70a2f5635c6199aeaa28c31d7202e1f "
    "2defd784463fa5243564e855ed717de1 8974907d8e169bef5f5b96bc506ae45d",
    "octmnist": "c68d92d5b585d8d81f7112f81e2d0842 e229e9440236b774d9f0dfef9d07bdaf "
    "0a97e76651ace45c5d943ee3f65b63ae abc493b6d529d5de7569faaef2773ba3",
    "pneumoniamnist": "28209eda62fecd6e6a2d98b1501bb15f 8f4eceb4ccffa70c672198ea285246c6 "
    "05b46931834c231683c68f40c47b2971 d6a3c71de1b945ea11211b03746c1fe1",
    "retinamnist": "bd4c0672f1bba3e3a89f0e4e876791e4 afda852cc34dcda56f86ad2b2457dbcc "
    "e48e916a24454daf90583d4e6efb1a18 eae7e3b6f3fcbda4ae613ebdcbe35348",
    "breastmnist": "750601b1f35ba3300ea97c75c52ff8f6 742edef2a1fd1524b2efff4bd7ba9364 "
    "363e4b3f8d712e9b5de15470a2aaadf1 b56378a6eefa9fed602bb16d192d4c8b",
    "bloodmnist": "7053d0359d879ad8a5505303e11de1dc 2b94928a2ae4916078ca51e05b6b800b "
    "adace1e0ed228fccda1f39692059dd4c b718ff6835fcbdb22ba9eacccd7b2601",
    "tissuemnist": "ebe78ee8b05294063de985d821c1c34b 123ece2eba09d0aa5d698fda57103344 "
    "61b955355d7425a89687b06cca3ce0c2 b077128c4a949f0a4eb01517f9037b9c",
    "organamnist": "68e3f8846a6bd62f0c9bf841c0d9eacc 2dcccc29b88e6da5a01161ef20cda288 "
    "eeae80d0a227a8d099027e1b3cfd3b60 50747347e05c87dd3aaf92c49f9f3170",
    "organcmnist": "b9ceb9546e10131b32923c5bbeaea2b1 3ce34a8724ea6f548e6db4744d03b6a9 "
    "773c1f009daa3fe5d9a2a201b2a7ed94 050f5e875dc056f6768abf94ec9995d1",
    "organsmnist": "9ab87b696fb54e2a387ebe992d6ed5f1 53a6d115339d874c25e309a994ff46d3 "
    "ded0c5fa01a95dc4978b956f613e9b8e b354719e553fbbb2513d5533f52a4cb1",
}


def make_source(name, pixels):
    stem = name if pixels == 28 else f"{name}_{pixels}"
    url = f"https://zenodo.org/records/10519652/files/{stem}.npz"
    md5 = MD5[name].split()[PIXELS.index(pixels)]
    sizes, labels = SETS[name]
    return Source(
        name=stem,
        title=f"MedMNIST, {name}, {pixels} px",
        page="https://medmnist.com",
        licence="CC BY-NC 4.0" if name == "dermamnist" else "CC BY 4.0",
        citation="Yang et al., Scientific Data 10, 41, 2023, and the source of the set named there",
        disk=f"{sum(sizes) * pixels**2 * 3 / 1e6:.0f} MB at most, prepared as much",
        counts=dict(zip(("train", "val", "test"), sizes, strict=True)),
        files=(File(url, f"{stem}.npz", md5=md5),),
        ordered=name == "retinamnist",  # grades of retinopathy
        class_names={str(number): label for number, label in enumerate(labels.split(","))},
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="And --from, --out, --jobs, --strict as in the others."
    )
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--pixels", type=int, choices=PIXELS, default=28)
    chosen, rest = parser.parse_known_args(arguments)
    source = make_source(chosen.set, chosen.pixels)

    def locate(folder):
        return {"source": find_one(folder, source.files[0].name)}

    return run(source, locate, arguments=rest)


if __name__ == "__main__":
    sys.exit(main())
