"""Every script of data_scripts, with small files of the right form and a server that misbehaves."""

import hashlib
import importlib.util
import io
import os
import re
import stat
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import save_prepared
from bmix_lite.preparation.report import read_report
from clinic import draw
from common.sources import run
from conftest import ROOT
from server import send, serve

# EyePACS comes by Kaggle's client
FETCHED = [
    "bccd",
    "chula_rbc12",
    "cifar_lt",
    "hyper_kvasir",
    "isic2018",
    "medmnist",
    "mhsma",
    "published_runs",
]


def get(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "data_scripts" / f"get_{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photo(seed, side=48):
    buffer = io.BytesIO()
    draw(seed, side).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def pack(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def make_bccd():
    box = "<bndbox><xmin>{0}</xmin><ymin>4</ymin><xmax>{1}</xmax><ymax>40</ymax></bndbox>"
    things = [
        f"<object><name>{name}</name>{box.format(at, at + 14)}</object>"
        for name, at in PLACES.items()
    ]
    members = {}
    for number in range(6):
        xml = f"<annotation><filename>{number}.jpg</filename>{''.join(things)}</annotation>"
        members[f"BCCD-master/Annotations/{number}.xml"] = xml
        members[f"BCCD-master/JPEGImages/{number}.jpg"] = photo(number)
    return {"bccd.zip": pack(members)}, dict.fromkeys(PLACES, 6)


PLACES = {"RBC": 0, "WBC": 16, "Platelets": 32}


def make_chula_rbc12():
    members = {}
    for number in range(6):
        members[f"Chula-RBC-12-Dataset-fa/Dataset/{number}.jpg"] = photo(number, 96)
        members[f"Chula-RBC-12-Dataset-fa/Label/{number}.txt"] = "20 20 0\n70 30 1\n40 70 12\n"
    return {"chula_rbc12.zip": pack(members)}, {"normal": 6, "macrocyte": 6, "elliptocyte": 6}


def make_mhsma():
    members = {}
    for number, (word, count) in enumerate((("train", 30), ("valid", 10), ("test", 12))):
        images = np.random.default_rng(number).integers(0, 256, (count, 64, 64), dtype=np.uint8)
        members[f"mhsma-dataset-7b/mhsma/x_64_{word}.npy"] = write_array(images)
        labels = (np.arange(count) % 2).astype(np.uint8)
        members[f"mhsma-dataset-7b/mhsma/y_tail_{word}.npy"] = write_array(labels)
    return {"mhsma.zip": pack(members)}, {"normal": 26, "abnormal": 26}


def write_array(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def make_hyper_kvasir():
    rows, members = ["file-name;class-name;split-index"], {}
    for number in range(20):
        label = ("polyp", "ileum")[number % 2]
        members[f"labeled-images/lower/{label}/{number:03}.jpg"] = photo(number)
        rows.append(f"{number:03}.jpg;{label};{number // 2 % 5}")
    table = "\n".join(rows) + "\n"
    return {"labeled-images.zip": pack(members), "5_fold_split.csv": table.encode()}, {
        "polyp": 10,
        "ileum": 10,
    }


def make_isic2018():
    rows, members = ["lesion_id\timage_id\tdx"], {}
    for number in range(20):
        members[f"ISIC2018_Task3_Training_Input/ISIC_{number:03}.jpg"] = photo(number)
        rows.append(f"HAM_{number // 2}\tISIC_{number:03}\t{('nv', 'mel')[number // 2 % 2]}")
    table = ("\n".join(rows) + "\n").encode()
    files = {"ISIC2018_Task3_Training_Input.zip": pack(members), "HAM10000_metadata.tsv": table}
    return files, {"melanocytic nevus": 10, "melanoma": 10}


def make_medmnist():
    rng, arrays, buffer = np.random.default_rng(0), {}, io.BytesIO()
    for split, count in (("train", 30), ("val", 10), ("test", 12)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(count)[:, None] % 2
    np.savez(buffer, **arrays)
    return {"breastmnist.npz": buffer.getvalue()}, {"train": 30, "val": 10, "test": 12}


def make_cifar_lt():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        content = np.random.default_rng(0).bytes(20_000)
        info = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return {"cifar-10-python.tar.gz": buffer.getvalue()}, {}


def make_published_runs():
    scores = "K=31.57/49.73, mAUC=61.73/79.10, MCC=22.40/38.11, Loss=0.0515/2.3777,"
    log = f"Best epoch = 1\nEpoch = 1 -> {scores}\n"
    return {
        "logs.zip": pack({"balanced_mixup-20ac/endo/F1/sqrt/mobilenet/val_metrics.txt": log})
    }, {}


def prepare_script(name, url, monkeypatch):
    """(script(arguments) -> status, {name: content}): its files are on the server, hashes true."""
    module = get(name)
    contents, counts = globals()[f"make_{name}"]()

    def localise(source):
        assert [file.name for file in source.files] == list(contents)
        files = []
        for file in source.files:
            sha256, md5 = (
                given and hashlib.new(kind, contents[file.name]).hexdigest()
                for kind, given in (("sha256", file.sha256), ("md5", file.md5))
            )
            files.append(replace(file, url=f"{url}/{file.name}", sha256=sha256, md5=md5))
        return replace(source, files=tuple(files), counts=counts)

    def call(*arguments):
        if hasattr(module, "main"):
            chosen = {"medmnist": ["breastmnist"], "mhsma": ["tail"]}.get(name, [])
            return module.main([*chosen, *arguments])
        return run(
            localise(module.SOURCE),
            module.locate,
            arguments=[*arguments, "--size", "16", "--jobs", "1"],
        )

    if hasattr(module, "make_source"):
        make = module.make_source
        monkeypatch.setattr(module, "make_source", lambda *names: localise(make(*names)))
    elif hasattr(module, "main"):
        monkeypatch.setattr(module, "SOURCE", localise(module.SOURCE))
    if name == "cifar_lt":  # torchvision would compare the files with the md5 of the real ones
        monkeypatch.setattr(module, "read", lambda classes, root: (Things(100, 0), Things(20, 1)))
    return call, contents


class Things:
    """What torchvision makes of CIFAR, three classes of it."""

    classes = ("a", "b", "c")

    def __init__(self, each, seed):
        self.targets = np.tile([0, 1, 2], each).tolist()
        self.data = np.random.default_rng(seed).integers(
            0, 256, (3 * each, 4, 4, 3), dtype=np.uint8
        )


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr("common.download.WAIT", 0.01)


@pytest.mark.parametrize("name", FETCHED)
def test_a_script_comes_through_cut_connections_and_a_busy_server(
    tmp_path, monkeypatch, capsys, name
):
    contents, asked, out = {}, Counter(), tmp_path / "out"

    def answer(request):
        file = request.path.strip("/")
        asked[file] += 1
        content = contents[file]
        if asked[file] == 2:
            send(request, b"busy", status=503)
        else:
            send(
                request, content, cut=len(content) // 2 if asked[file] == 1 else None, ETag='"one"'
            )

    with serve(answer) as (url, _):
        call, contents = prepare_script(name, url, monkeypatch)
        assert call("--out", str(out)) == 0, capsys.readouterr().err
        before = dict(asked)
        assert call("--out", str(out)) == 0, capsys.readouterr().err
    assert asked == before == dict.fromkeys(contents, 3)
    for file, content in contents.items():
        assert (tmp_path / "out-files" / file).read_bytes() == content
    if name == "published_runs":
        assert pd.read_csv(out / "runs.csv")["kappa"].tolist() == [49.73]
        return
    data = load(out)
    sizes = dict(bccd=18, cifar_lt=191, hyper_kvasir=20, isic2018=20, medmnist=52)
    sizes |= dict(chula_rbc12=18, mhsma=52)
    assert len(data.labels) == sizes[name]
    printed = capsys.readouterr().out
    assert "licence  " in printed
    assert "cite     " in printed
    assert ("published   found" in printed) == (name != "cifar_lt")


@pytest.mark.parametrize("fault", ["a page", "refused", "cut for good"])
@pytest.mark.parametrize("name", FETCHED)
def test_a_script_that_gets_no_right_file_says_why_and_prepares_nothing(
    tmp_path, monkeypatch, capsys, name, fault
):
    contents, out = {}, tmp_path / "out"

    def answer(request):
        file = request.path.strip("/")
        if fault == "a page":
            send(request, b"<!DOCTYPE html><p>Sign in", Content_Type="text/html")
        elif fault == "refused":
            send(request, b"no", status=403)
        else:
            send(request, contents[file][: len(contents[file]) * 2 // 3])

    with serve(answer) as (url, _):
        call, contents = prepare_script(name, url, monkeypatch)
        assert call("--out", str(out)) == 2
    said = capsys.readouterr().err
    first = next(iter(contents))
    words = {
        "a page": "got HTML, expected",
        "refused": "the server answers 403: open ",
        "cut for good": first,
    }
    assert words[fault] in said
    assert first in said
    assert not out.exists()
    # else only unpacking finds the cut, and the archive is the user's
    hashed = name in ("cifar_lt", "medmnist")
    assert (tmp_path / "out-files" / first).exists() == (fault == "cut for good" and not hashed)


def test_the_client_of_kaggle_is_asked_again_for_what_is_missing_only(tmp_path, monkeypatch):
    module = get("eyepacs")
    store = tmp_path / "store"
    tools = tmp_path / "tools"
    folder = tmp_path / "files"
    store.mkdir()
    tools.mkdir()
    whole = pack(
        {
            f"train/{number // 2}_{('left', 'right')[number % 2]}.jpeg": photo(number)
            for number in range(10)
        }
    )
    for number, part in enumerate(module.PARTS):
        step = len(whole) // 5 + 1
        (store / part).write_bytes(whole[number * step : (number + 1) * step])
    (store / "trainLabels.csv.zip").write_bytes(
        pack({"trainLabels.csv": "image,level\n0_left,0\n"})
    )
    # competitions download -c NAME -f FILE -p FOLDER; breaks off once in the third part
    (tools / "kaggle").write_text(
        f'#!/bin/sh\necho "$6" >> {tmp_path}/asked\n'
        f'if [ "$6" = {module.PARTS[2]} ] && [ ! -e {tmp_path}/broken ]; then\n'
        f"  touch {tmp_path}/broken; echo 'connection lost' >&2; exit 1\nfi\n"
        f'cp {store}/"$6" "$8"/\n'
    )
    (tools / "kaggle").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BmixError, match=r"did not give train\.zip\.003 \(connection lost\)"):
        module.fetch(folder)
    module.fetch(folder)
    assert Counter((tmp_path / "asked").read_text().split()) == Counter(
        [*module.PARTS, "trainLabels.csv.zip", module.PARTS[2]]
    )
    assert len(list(folder.rglob("*.jpeg"))) == 10
    assert (folder / "labels/trainLabels.csv").is_file()


def test_a_medmnist_file_with_another_hash_is_refused_before_it_is_read(tmp_path, capsys):
    (contents, _), module = make_medmnist(), get("medmnist")
    (tmp_path / "breastmnist.npz").write_bytes(contents["breastmnist.npz"])
    assert (
        module.main(["breastmnist", "--from", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    )
    assert (
        f"is there with another content, md5:{hashlib.md5(contents['breastmnist.npz']).hexdigest()}"
        in (said := capsys.readouterr().err)
    )
    assert module.MD5["breastmnist"].split()[0] in said
    assert not (tmp_path / "out").exists()


def test_grades_are_known_to_be_ordered_and_nothing_else():
    medmnist = get("medmnist")
    assert [name for name in medmnist.SETS if medmnist.make_source(name, 28).ordered] == [
        "retinamnist"
    ]
    others = [
        name
        for name in [*FETCHED, "eyepacs"]
        if getattr(getattr(get(name), "SOURCE", None), "ordered", False)
    ]
    assert others == ["eyepacs"]


def test_every_medmnist_file_has_a_hash_of_its_own():
    module = get("medmnist")
    hashes = [
        make.md5
        for name in module.SETS
        for pixels in module.PIXELS
        for make in module.make_source(name, pixels).files
    ]
    assert len(set(hashes)) == len(hashes) == 44
    assert all(len(text) == 32 and int(text, 16) for text in hashes)


def test_the_reference_data_of_chula_and_mhsma_go_through_their_scripts(shared, tmp_path, capsys):
    chula = get("chula_rbc12")
    given = ["--from", str(shared / "data/chula_rbc12"), "--out", str(tmp_path / "chula")]
    assert run(chula.SOURCE, chula.locate, arguments=[*given, "--size", "16", "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    assert "licence  MIT" in said
    assert "an excerpt: 365 of the 623 photographs" in said
    assert "differs" not in said
    data = load(tmp_path / "chula")
    assert np.bincount(data.labels).tolist() == list(chula.DRAWN)
    assert data.class_names == chula.TYPES
    assert set(read_report(tmp_path / "chula").counts()) <= {"alike", "lookalike", "ignored"}
    assert sum(chula.ALL) == 22_106
    mhsma = get("mhsma")
    for label, abnormal in mhsma.ABNORMAL.items():
        out = tmp_path / label
        given = ["--from", str(shared / "data/mhsma"), "--out", str(out)]
        assert mhsma.main([label, *given]) == 0
        said = capsys.readouterr().out
        assert "licence  CC BY-NC-SA 4.0: non-commercial use only, share alike" in said
        assert re.search(rf"abnormal +{abnormal} +{abnormal}\n", said)
        assert "1528 of 1540 images prepared" in said
        assert "left out: 12, near: Nearly the same image must not lie on two sides" in said
        assert load(out).class_names == ("normal", "abnormal")


def test_a_part_that_is_no_known_excerpt_is_refused(shared, tmp_path, capsys):
    chula = get("chula_rbc12")
    for name in ("Dataset", "Label"):
        (tmp_path / "some" / name).mkdir(parents=True)
    for number in sorted((shared / "data/chula_rbc12/Label").iterdir())[:5]:
        (tmp_path / "some/Label" / number.name).write_bytes(number.read_bytes())
        photograph = shared / f"data/chula_rbc12/Dataset/{number.stem}.jpg"
        (tmp_path / "some/Dataset" / photograph.name).write_bytes(photograph.read_bytes())
    given = ["--from", str(tmp_path / "some"), "--out", str(tmp_path / "out"), "--labels-only"]
    assert run(chula.SOURCE, chula.locate, arguments=given) == 2
    assert "not as many images as published in normal" in capsys.readouterr().err


def test_every_split_of_a_long_tailed_cifar_trains_at_the_same_imbalance(tmp_path):
    data = get("cifar_lt").make_long_tailed(Things(100, 0), Things(20, 1), 10)
    save_prepared(data, tmp_path)
    assert load(tmp_path).counts().tolist() == [90, 31, 10]
    for number in (1, 4, 5, 9, 23):
        split = load(tmp_path, split=number)
        assert split.counts().tolist() in ([72, 24, 8], [72, 25, 8])  # of 31 in five folds
        assert split.rows("test").tolist() == data.rows("test").tolist()
