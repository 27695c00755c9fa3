import contextlib
import hashlib
import importlib.util
import io
import os
import runpy
import stat
import sys
import zipfile
from collections import Counter
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from bmix_lite.base.errors import BmixError
from bmix_lite.course.published import read_published
from bmix_lite.data.datasets import load
from bmix_lite.data.known_counts import KNOWN, read_counts
from bmix_lite.preparation.sources import list_images
from clinic import draw
from common.sources import File, Source, compare, fetch_files, find_one, run
from conftest import ROOT
from server import send, serve

SCRIPTS = sorted(path.stem for path in (ROOT / "data_scripts").glob("get_*.py"))


def get(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "data_scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(name, *arguments, **environment):
    """What a script leaves that is called so; in this process, in one of its own by test_bccd."""
    path = str(ROOT / "data_scripts" / f"{name}.py")
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", [path, *map(str, arguments)]),
        pytest.raises(SystemExit) as ended,
    ):
        runpy.run_path(path, run_name="__main__")
    done = dict(returncode=ended.value.code or 0, stdout=out.getvalue(), stderr=err.getvalue())
    return SimpleNamespace(**done)


def test_the_scripts_are_those_that_are_promised():
    promised = (
        "bccd chula_rbc12 cifar_lt eyepacs hyper_kvasir isic2018 medmnist mhsma published_runs"
    )
    assert [f"get_{name}" for name in promised.split()] == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_what_it_is_and_takes_files_that_are_here(name):
    done = call(name, "--help")
    assert done.returncode == 0
    assert "--from" in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_files_are_fetched_over_https_only(name):
    text = (ROOT / "data_scripts" / f"{name}.py").read_text()
    assert "http://" not in text
    assert "https://" in text


@pytest.mark.parametrize("name", ["eyepacs", "isic2018:ham10000", "hyper_kvasir"])
def test_the_real_label_tables_hold_the_published_counts(shared, name):
    script, _, folder = name.partition(":")
    folder = folder or script
    done = call(f"get_{script}", "--from", shared / "data" / folder, "--labels-only")
    assert done.returncode == 0, done.stderr
    known = read_counts(folder)
    for label, count in zip(known.classes, known.counts, strict=True):
        assert any(
            line.split()[-2:] == [str(count)] * 2 and label in line
            for line in done.stdout.splitlines()
        )


def test_images_that_are_not_there_are_named(shared, tmp_path):
    done = call("get_eyepacs", "--from", shared / "data/eyepacs", "--out", tmp_path / "x")
    assert done.returncode == 2
    assert "none of the 35126 files" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("refuses", "message"), [(True, "accept the rules"), (None, "client is not installed")]
)
def test_kaggle_that_refuses_or_is_not_there_is_explained(tmp_path, refuses, message):
    tools = tmp_path / "tools"
    tools.mkdir()
    if refuses:
        (tools / "kaggle").write_text("#!/bin/sh\necho '403 - Forbidden' >&2; exit 1\n")
        (tools / "kaggle").chmod(stat.S_IRWXU)
    done = call(
        "get_eyepacs",
        "--out",
        tmp_path / "eyes",
        PATH=str(tools) + (":/bin:/usr/bin" if refuses else ""),
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert ("403" in done.stderr) == bool(refuses)


def test_the_parts_of_eyepacs_are_joined_unpacked_and_prepared(tmp_path, monkeypatch, capsys):
    module, folder = get("get_eyepacs"), tmp_path / "files"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        rows = ["image,level"]
        for number in range(40):
            draw(number, 32).save(tmp_path / "x.jpeg", quality=95)
            name = f"{number // 2}_{('left', 'right')[number % 2]}"
            archive.write(tmp_path / "x.jpeg", f"train/{name}.jpeg")
            rows.append(f"{name},{number // 2 % 2}")
    content = (tmp_path / "whole.zip").read_bytes()
    step = len(content) // 5 + 1
    for number, part in enumerate(module.PARTS):
        (folder / part).write_bytes(content[number * step : (number + 1) * step])
    with zipfile.ZipFile(folder / "trainLabels.csv.zip", "w") as archive:
        archive.writestr("trainLabels.csv", "\n".join(rows) + "\n")
    monkeypatch.setattr(module.shutil, "which", lambda name: "/no/such/client")
    module.fetch(folder)
    source = Source(
        "e",
        "t",
        "p",
        "l",
        "c",
        "d",
        {"none": 20, "some": 20},
        class_names={"0": "none", "1": "some"},
    )
    arguments = [
        "--from",
        str(folder),
        "--out",
        str(tmp_path / "out"),
        "--size",
        "16",
        "--fit",
        "stretch",
        "--jobs",
        "1",
    ]
    assert run(source, module.locate, arguments=arguments) == 0, capsys.readouterr().err
    data = load(tmp_path / "out")
    assert len(data.labels) == 40
    assert Counter(data.groups) == {str(patient): 2 for patient in range(20)}


def test_counts_that_differ_from_the_published_stop_before_anything_is_prepared(tmp_path, capsys):
    arrays = {}
    for split, count in (("train", 30), ("val", 10), ("test", 10)):
        arrays[f"{split}_images"] = np.random.default_rng(len(arrays)).integers(
            0, 256, (count, 28, 28), dtype=np.uint8
        )
        arrays[f"{split}_labels"] = np.arange(count)[:, None] % 2
    np.savez(tmp_path / "breastmnist.npz", **arrays)
    module = get("get_medmnist")
    module.MD5["breastmnist"] = hashlib.md5((tmp_path / "breastmnist.npz").read_bytes()).hexdigest()
    arguments = ["breastmnist", "--from", str(tmp_path), "--out", str(tmp_path / "out")]
    assert module.main(arguments) == 2
    out = capsys.readouterr()
    assert "not as many images as published in train, val, test" in out.err
    assert not (tmp_path / "out").exists()
    module.SETS["breastmnist"] = ((30, 10, 10), "malignant,normal or benign")
    assert module.main(arguments) == 0, capsys.readouterr().err
    data = load(tmp_path / "out")
    assert data.images.shape == (50, 28, 28, 1)
    assert data.class_names == ("malignant", "normal or benign")


def test_differing_counts_are_marked(capsys):
    source = Source(
        "n", "t", "p", "l", "c", "d", {"a": 3, "b": 2}, class_names={"0": "a", "1": "b"}
    )
    compare(source, {"0": 3, "1": 2})
    with pytest.raises(BmixError, match="published in b, c"):
        compare(source, {"0": 3, "1": 1, "c": 1})
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[4:]][-3:] == [
        "3",
        "differs",
        "differs",
    ]


def test_files_come_from_the_server_checked_and_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("inner/a.txt", "content")
    content = (tmp_path / "x.zip").read_bytes()
    with serve(
        lambda request: send(request, content if request.path == "/x.zip" else b"path,label\n")
    ) as (url, seen):
        files = (File(f"{url}/x.zip", "pictures.zip"), File(f"{url}/t.csv", "t.csv"))
        for _ in range(2):
            fetch_files(files, tmp_path / "files")
    assert len(seen) == 2
    assert find_one(tmp_path / "files", "a.txt").read_text() == "content"
    assert find_one(tmp_path / "files", "nothing", "t.csv").read_text() == "path,label\n"
    with pytest.raises(BmixError, match=r"no labels\.csv or table.csv in it or below"):
        find_one(tmp_path / "files", "labels.csv", "table.csv")


def test_cifar_decays_exponentially_and_keeps_its_test_images():
    class Things:
        classes = ("a", "b", "c")

        def __init__(self, each, seed):
            self.targets = np.tile([0, 1, 2], each).tolist()
            self.data = np.random.default_rng(seed).integers(
                0, 256, (3 * each, 4, 4, 3), dtype=np.uint8
            )

    module, train, test = get("get_cifar_lt"), Things(100, 0), Things(20, 1)
    data = module.make_long_tailed(train, test, 100)
    assert data.counts("train").tolist() == [90, 10, 1]
    assert data.counts("val").tolist() == [10, 10, 10]
    assert np.array_equal(data.images[data.rows("test")], test.data)
    images = [
        {image.tobytes() for image in data.images[data.rows(part)]} for part in ("train", "val")
    ]
    assert not images[0] & images[1]
    assert module.make_long_tailed(train, test, 1).counts("train").tolist() == [90, 90, 90]


def write_logs(folder, scores, details, config):
    """The folder of a run as the authors' code wrote it: scores of all epochs, a file for each."""
    folder.mkdir(parents=True)
    lines = [f"Epoch = {k} -> {line}, Loss=0.05/2.38," for k, line in enumerate(scores, 1)]
    (folder / "val_metrics.txt").write_text(
        "\n".join([*lines, "", "Training time: 01h 02min 3.50secs", ""])
    )
    for k, text in enumerate(details, 1):
        (folder / f"performance_epoch_{k:02d}.txt").write_text(text)
    (folder / "config.cfg").write_text(config)


def test_published_logs_become_tables(tmp_path):
    folder = tmp_path / "logs/endo/F3/mxp_2e-1/mobilenet"
    scores = [
        "K=31.57/49.73, mAUC=61.73/79.10, MCC=22.40/38.11",
        "K=47.99/57.69, mAUC=nan/88.91, MCC=49.60/48.96",
    ]
    stale = (
        "K=1.00 - MCC=2.00- F1=3.00 - AUC=4.00 - Loss=5.0000 "
        "K=6.00 - MCC=7.00 - F1=8.00 - AUC=9 - Loss=1 - LR=1 "
    )
    # no block of validation
    details = ["K=31.57 - MCC=22.40 - F1=20.00 - AUC=61.73 - Loss=0.0515 "]
    details += [
        f"{stale}K=47.99 - MCC=49.60- F1=40.00 - AUC=nan - Loss=0.0452 "
        "K=57.69 - BACC=51.50 - MCC=48.96 - F1=45.45 - AUC=88.91 - Loss=1.8394 - LR=0.01000 " * 2
    ]
    write_logs(folder, scores, details, '{"sampling": "instance", "do_mixup": 0.2, "lr": 0.01}')
    log = (folder / "val_metrics.txt").read_text()
    (folder / "val_metrics.txt").write_text("Best K = 57.69\nBest epoch = 2\n\n" + log)
    done = call("get_published_runs", "--from", tmp_path / "logs", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    runs, epochs = read_published(tmp_path / "out")
    expected = {
        "dataset": "hyper_kvasir",
        "network": "mobilenet_v2",
        "method": "balanced_mixup",
        "alpha": 0.2,
    }
    expected |= {
        "name": "balanced_mixup, alpha 0.2",
        "fold": 3,
        "best_epoch": 2,
        "kappa": 57.69,
        "mauc": 88.91,
    }
    expected |= {
        "mcc": 48.96,
        "bacc": 51.5,
        "f1": 45.45,
        "epochs": 2,
        "decays": 0,
        "final_lr": 0.01,
        "asked": 1,
    }
    expected |= {
        "last": 48.96,
        "median": 43.54,
        "seconds": 3723.5,
        "run": "endo/F3/mxp_2e-1/mobilenet",
    }
    assert runs.loc[0, list(expected)].to_dict() == expected | {
        "median": pytest.approx(43.535, abs=0.01)
    }
    assert epochs[["epoch", "split", "kappa", "mcc"]].values.tolist() == [
        [1, "train", 31.57, 22.4],
        [1, "val", 49.73, 38.11],
        [2, "train", 47.99, 49.6],
        [2, "val", 57.69, 48.96],
    ]
    assert epochs["f1"].fillna(-1).tolist() == [20, -1, 40, 45.45]


def test_published_confusion_matrices_are_counted(tmp_path):
    folder = tmp_path / "logs/eyepacs/class/bit_rexnet50"
    rows = [[80, 20, 0, 0, 0], [5, 5, 0, 0, 0], [0, 0, 30, 10, 0], [0, 0, 0, 3, 1], [0, 0, 0, 0, 2]]
    matrix = "".join(
        f"      DR{j} {' '.join(f'{n:>5}' for n in row)}  \n" for j, row in enumerate(rows)
    )
    block = (
        "K={k} - MCC={m} - F1=60.00 - AUC=90.00 - Loss=0.5000 {lr}\n"
        "AUC: DR0=90 - DR1=80 \n      t/p    DR0  \n"
    )
    details, scores = [], []
    for k, rate in enumerate((0.01, 0.01, 0.001), 1):
        train = block.format(k="90.00", m="80.00", lr="") + matrix.replace("80", "70")
        details.append(
            train
            + block.format(k=f"{70 + k}.00", m=f"{50 + k}.00", lr=f"- LR={rate:.5f} ")
            + matrix
        )
        scores.append(f"K=90.00/{70 + k}.00, mAUC=99.00/90.00, MCC=80.00/{50 + k}.00")
    write_logs(folder, scores, details, '{"sampling": "class", "do_mixup": 0.0}')
    log = (folder / "val_metrics.txt").read_text()
    (folder / "val_metrics.txt").write_text("Best epoch = 3\n\n" + log)
    done = call("get_published_runs", "--from", tmp_path / "logs", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    run = read_published(tmp_path / "out")[0].loc[0]
    assert run["bacc"] == pytest.approx(100 * (0.8 + 0.5 + 0.75 + 0.75 + 1) / 5)
    expected = {
        "network": "bit_m_r50x1",
        "name": "class_balanced",
        "fold": 0,
        "val_images": 156,
        "decays": 1,
    }
    # of kappa, which EyePACS was judged by
    expected |= {"final_lr": 0.001, "asked": 3, "last": 73.0, "median": 72.0}
    assert run[list(expected)].to_dict() == expected


def test_published_logs_in_another_place_are_refused_by_name(tmp_path):
    write_logs(
        tmp_path / "logs/endo/F1/run",
        ["K=31.57/49.73, mAUC=61.73/79.10, MCC=22.40/38.11"],
        [],
        "{}",
    )
    done = call("get_published_runs", "--from", tmp_path / "logs", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "endo/F1/run: expected dataset/fold/method/network" in done.stderr


@pytest.mark.parametrize("name", KNOWN)
def test_real_label_counts_load_without_an_image(name):
    data, known = load(f"{name}-labels", split=1), read_counts(name)
    assert np.bincount(data.labels).tolist() == known.counts.tolist()
    assert data.class_names == known.classes
    assert data.images.nbytes == 0
    assert all(data.counts(part).min() >= 1 for part in ("train", "val", "test"))


def test_fundus_toy_loads_by_name():
    data = load("fundus_toy", split=2)
    assert data.name == "fundus_toy"
    assert data.counts("test").min() >= 1


def test_the_split_of_bccd_is_kept_unless_all_smears_shall_be_dealt(shared):
    folder = shared / "data/bccd"
    script = get("get_bccd")
    parts = {item.split for item in list_images(**script.locate(folder, deal=False)).items}
    assert parts == {"train", "val", "test"}
    assert {item.split for item in list_images(**script.locate(folder, deal=True)).items} == {""}
    assert call("get_bccd", "--from", folder, "--deal", "--labels-only").returncode == 0
