import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from axe import check_page
from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import sha256_of
from bmix_lite.data.datasets import load
from bmix_lite.data.prepared import load_prepared, read_about
from bmix_lite.preparation import cache
from bmix_lite.preparation.decode import decode_image
from bmix_lite.preparation.faults import KINDS
from bmix_lite.preparation.prepare import list_images, prepare
from bmix_lite.preparation.report import read_report
from clinic import CLASSES, draw, make_clinic, make_folder, plant, write_table
from field import prepare_small, put

COLUMNS = {"group": "patient", "split": "split"}
QUIET = dict(progress=False, jobs=1, size=16)


def test_a_folder_becomes_a_dataset_whose_images_are_those_of_the_files(tmp_path):
    root = make_folder(tmp_path / "photos")
    data = prepare(root, tmp_path / "data", **QUIET)
    assert data.class_names == ("class 0", "class 1", "class 2")
    assert np.bincount(data.labels).tolist() == [12, 8, 6]
    for number in (0, 13, 25):
        path = root / data.ids[number]
        assert np.array_equal(data.images[number], decode_image(path, 16))
        assert data.class_names[data.labels[number]] == path.parent.name
    table = (tmp_path / "data/table.csv").read_text().splitlines()
    assert table[1].split(",")[:2] == [data.ids[0], sha256_of(root / data.ids[0])]
    assert load(tmp_path / "data", split=2).counts("train").sum() > 10


def test_a_table_brings_groups_split_and_names(tmp_path):
    table, rows = make_clinic(tmp_path)
    names = {"2": "severe", "0": "healthy", "1": "mild"}
    data = prepare(
        table,
        tmp_path / "data",
        images=tmp_path / "images",
        columns=COLUMNS,
        class_names=names,
        **QUIET,
    )
    assert data.class_names == ("severe", "healthy", "mild")
    assert [list(names)[label] for label in data.labels] == [row[1] for row in rows]
    assert [list(column) for column in (data.ids, data.groups, data.split)] == [
        [r[i] for r in rows] for i in (0, 2, 3)
    ]


def test_what_is_known_about_the_data_is_kept_with_it(tmp_path):
    about = {"source": "a clinic, 2026", "licence": "CC0", "citation": "Nobody et al."}
    data = prepare(make_folder(tmp_path / "photos"), tmp_path / "eyes", about=about, **QUIET)
    kept = read_about(tmp_path / "eyes")
    assert (data.name, data.source) == ("eyes", "a clinic, 2026")
    assert {name: kept[name] for name in about} == about
    assert kept["counts"] == {"class 0": 12, "class 1": 8, "class 2": 6}
    assert (kept["size"], kept["fit"]) == (16, "crop")
    assert str(tmp_path) not in (tmp_path / "eyes/dataset.json").read_text()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("clinic")
    table, kinds = plant(root)
    options = dict(images=root / "images", columns=COLUMNS, class_names=CLASSES, **QUIET)
    with pytest.raises(BmixError) as caught:
        prepare(table, root / "data", **options)
    return root, table, kinds, options, str(caught.value)


def test_all_planted_faults_are_reported_at_once(planted):
    root, _, kinds, _, message = planted
    page = (root / "data/report.html").read_text()
    table = (root / "data/report.csv").read_text()
    report = read_report(root / "data")
    assert sum(map(len, kinds.values())) >= 30
    for kind, found in kinds.items():
        texts = "\n".join(
            f"{fault['where']}: {fault['found']}"
            for fault in report.faults
            if fault["kind"] == kind
        )
        section = page.split(f'<h2 id="{kind}">')[1].split("</table>")[0]
        for text in found:
            plain = text.replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">")
            assert plain in texts, (kind, text)
            assert (
                plain.replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;") in section
            ), (kind, text)
            assert plain.replace('"', '""') in table
        assert f"{kind}, {report.counts()[kind]}:" in message
    assert {fault["kind"] for fault in report.faults} == set(kinds)
    assert "report.html" in message


def test_no_row_without_a_fault_is_accused(planted):
    report = read_report(planted[0] / "data")
    named = {name for fault in report.faults if fault["level"] == "bad" for name in fault["images"]}
    innocent = {f"{number:03}.png" for number in range(90)} - {
        "000.png",
        "001.png",
        "010.png",
        "020.png",
        "024.png",
        "025.png",
    }
    assert not named & innocent


def test_a_stopped_preparation_leaves_no_dataset_and_skipping_goes_on_from_it(planted):
    root, table, _, options, _ = planted
    assert not (root / "data/dataset.json").exists()
    chunks = {path: path.stat().st_mtime_ns for path in (root / "data/chunks").iterdir()}
    shutil.copytree(root / "data", root / "skipped", copy_function=shutil.copy2)
    data = prepare(table, root / "skipped", on_bad="skip", **options)
    assert chunks
    report = read_report(root / "skipped")
    out = {name for fault in report.faults for name in fault["left_out"]}
    assert not out & (set(data.ids) - {"000.png", "010.png"})
    assert {
        "cut half.jpg",
        "001.png",
        "010.png",
        "020.png",
        "024.png",
        "025.png",
        "word.png",
    } <= out
    assert {"000.png", "copy.png", "smaller.jpg", "p12 again.png", "wide.png"} <= set(data.ids)
    # without 001, 010, 020, 024 and 025; with the four above
    assert len(data.ids) == report.left == 90 - 1 - 1 - 1 - 2 + 4
    sides = [set(data.groups[data.rows(part)]) for part in ("train", "val", "test")]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert not (root / "skipped/chunks").exists()


def test_the_page_asks_for_nothing_and_shows_pictures_of_the_offenders(planted):
    page = (planted[0] / "data/report.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "<b>" not in page
    assert page.count("data:image/png;base64,") >= 6
    assert 'alt="image copy.png"' in page


def test_the_page_can_be_read_by_all_on_a_phone_too(planted, browser_page):
    browser_page.set_viewport_size({"width": 390, "height": 900})
    browser_page.goto((planted[0] / "data/report.html").as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser_page.locator("main img").count() >= 6
    check_page(browser_page, 390, 1280)
    assert browser_page.problems == []


def test_every_kind_of_fault_can_be_found(planted, tmp_path):
    """The kinds that a table cannot show beside the others: whole classes, folders, boxes."""
    seen = set(planted[2])

    def look(folder, source, **options):
        with contextlib.suppress(BmixError):
            prepare(source, folder, on_bad="skip", **QUIET | options)
        seen.update(read_report(folder).counts())

    root = make_folder(tmp_path / "odd", (8, 8, 8))
    (root / "nothing").mkdir()
    (root / "Class 0").mkdir()
    draw(1).save(root / "Class 0" / "x.png")
    (root / "lost").mkdir()
    (root / "lost/a.png").write_bytes(b"")
    draw(2).save(root / "loose.png")
    (root / "notes.docx").write_bytes(b"x")
    draw(8).resize((SIZE := 24, SIZE)).save(root / "class 1" / "near.png")
    near = Image.open(root / "class 1/000.png").resize((30, 30), Image.Resampling.BICUBIC)
    near.save(root / "class 1" / "near.png")
    look(tmp_path / "1", root)
    rows = make_clinic(tmp_path / "c")[1]
    one = [(name, "0", patient) for name, _, patient, _ in rows[:20]]
    look(
        tmp_path / "2",
        write_table(tmp_path / "one.csv", one, ("path", "label", "patient")),
        images=tmp_path / "c/images",
    )
    few = [
        (name, "NA" if number < 6 else "7", "p" if number < 6 else name)
        for number, (name, *_) in enumerate(rows)
    ]
    few = write_table(tmp_path / "few.csv", few, ("path", "label", "patient"))
    few.write_text(few.read_text().rstrip("\n"))
    names = {"NA": "none", "7": "seven", "8": "eight"}
    patients = {"group": "patient"}
    look(tmp_path / "3", few, images=tmp_path / "c/images", columns=patients, class_names=names)
    gap = [(name, "3" if number % 2 else "1") for number, (name, *_) in enumerate(rows)]
    gap[0] = ("../x.png", "3")
    look(
        tmp_path / "4",
        write_table(tmp_path / "gap.csv", gap, ("path", "label")),
        images=tmp_path / "c/images",
    )
    given = [
        (name, str(number % 2), ("train", "test")[number % 2])
        for number, (name, *_) in enumerate(rows)
    ]
    given = write_table(tmp_path / "given.csv", given, ("path", "label", "split"))
    look(tmp_path / "6", given, images=tmp_path / "c/images", columns={"split": "split"})
    (tmp_path / "voc/Annotations").mkdir(parents=True)
    (tmp_path / "voc/JPEGImages").mkdir()
    draw(3, 64).save(tmp_path / "voc/JPEGImages/a.png")
    box = "<bndbox><xmin>9</xmin><ymin>9</ymin><xmax>{0}</xmax><ymax>{0}</ymax></bndbox>"
    things = "".join(f"<object><name>cell</name>{box.format(end)}</object>" for end in (9, 40))
    (tmp_path / "voc/Annotations/a.xml").write_text(
        f"<annotation><filename>a.png</filename>{things}</annotation>"
    )
    look(tmp_path / "5", tmp_path / "voc")
    among = make_folder(tmp_path / "among", (8, 8))
    (among / "class 0/more.zip").write_bytes(b"PK")
    draw(4).save(among / "class 0/000_mask.png")
    for label in ("class 0", "class 1"):
        (among / "sample" / label).mkdir(parents=True)
    look(tmp_path / "7", among)
    look(tmp_path / "8", among, leave_out=["*.zip", "*_mask*", "sample"])
    named = make_folder(tmp_path / "named", (8, 8))
    for path in sorted(named.rglob("*.png")):
        path.rename(path.with_name(f"patient{int(path.stem) // 2}_{path.name}"))
    for path in (named / "class 1").iterdir():
        Image.open(path).convert("L").save(path)
    look(tmp_path / "9", named)
    frames = make_folder(tmp_path / "frames", (8, 8))
    still = np.asarray(draw(5, 48)).astype(int)
    rng = np.random.default_rng(0)
    for number in range(16):
        path = frames / f"class {number % 2}" / f"frame {number}.png"
        frame = np.clip(still + rng.normal(0, 18, (16, 16, 3)).repeat(3, 0).repeat(3, 1), 0, 255)
        Image.fromarray(frame.astype(np.uint8)).save(path)
        tones = np.full((20, 20), (900, 65535)[number % 2], np.uint16) + np.arange(
            20, dtype=np.uint16
        )
        Image.fromarray(tones - number).save(frames / f"class {number % 2}" / f"grey {number}.png")
    look(tmp_path / "10", frames)
    (tmp_path / "points").mkdir()
    (tmp_path / "points/a.txt").write_text("30 30 cell\nhere\n")
    look(tmp_path / "11", tmp_path / "voc/JPEGImages", points=tmp_path / "points")
    for part in ("train", "val"):
        make_folder(tmp_path / "parts" / part, (6, 6))
    (tmp_path / "parts" / "test").mkdir()
    look(tmp_path / "12", tmp_path / "parts")
    root = make_folder(tmp_path / "grades", (6, 6, 6))
    for label, name in enumerate(("mild", "none", "severe")):
        (root / f"class {label}").rename(root / name)
    draw(7).save(root / "mild/A.png")
    draw(9).save(root / "mild/a.png")
    (root / "mild/000.png").rename(root / "mild/000.jfif")
    look(tmp_path / "13", root)
    merged = [(name, str(number % 3), f"p{number}") for number, (name, *_) in enumerate(rows)]
    merged[0] = (*merged[0][:2], "P1")
    merged = write_table(tmp_path / "merged.csv", merged, ("path", "label", "patient"))
    names = {0: "healthy", 1: "ill", 2: "ill"}
    look(
        tmp_path / "14",
        merged,
        images=tmp_path / "c/images",
        columns={"group": "patient"},
        class_names=names,
    )
    masked = [f"{label}/{number}.png" for label in "ab" for number in range(6)]
    put(tmp_path / "15", *masked, "a/1_mask.png", "a/z.png")
    look(tmp_path / "16", tmp_path / "15", leave_out="z.png")
    nobody = [(*row[:2], "unknown" if n < 9 else row[2]) for n, row in enumerate(rows)]
    nobody = write_table(tmp_path / "nobody.csv", nobody, ("path", "label", "patient"))
    look(tmp_path / "17", nobody, images=tmp_path / "c/images", columns={"group": "patient"})
    assert seen == set(KINDS)


def test_a_long_list_of_faults_is_counted_and_its_first_ten_are_named(tmp_path):
    table, rows = make_clinic(tmp_path)
    for name, *_ in rows[:40]:
        (tmp_path / "images" / name).unlink()
    with pytest.raises(BmixError) as caught:
        prepare(table, tmp_path / "data", images=tmp_path / "images", columns=COLUMNS, **QUIET)
    lines = str(caught.value).split("missing, 40: ")[1].splitlines()
    assert [f"row {number}: " in line for number, line in enumerate(lines[1:11], 2)] == [True] * 10
    assert lines[11] == "    and 30 more"


def test_files_that_vanish_after_they_were_listed_are_named_and_what_is_there_is_kept(tmp_path):
    root = make_folder(tmp_path / "photos")
    images, path = list_images(root), root / "class 1/003.png"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(
        BmixError, match=r"unreadable, 1: .*\n    class 1/003\.png: the file is missing"
    ):
        prepare(images, tmp_path / "data", **QUIET)
    path.write_bytes(content)
    assert len(prepare(root, tmp_path / "data", **QUIET).labels) == 26


def test_noise_in_a_jpeg_that_decodes_all_the_same_changes_its_hash_in_the_table(tmp_path):
    root = make_folder(tmp_path / "photos")
    draw(9, 200).save(root / "class 0/x.jpg", quality=95)
    tables = []
    for name in ("one", "two"):
        prepare(root, tmp_path / name, **QUIET)
        tables.append((tmp_path / name / "table.csv").read_text().splitlines())
        content = bytearray((root / "class 0/x.jpg").read_bytes())
        content[len(content) // 2 : len(content) // 2 + 20] = bytes(range(20))
        (root / "class 0/x.jpg").write_bytes(content)
    assert [one.split(",")[0] for one, two in zip(*tables, strict=True) if one != two] == [
        "class 0/x.jpg"
    ]


def test_where_no_image_is_left_all_is_said_with_the_rules_and_nothing_is_written(tmp_path):
    table, rows = make_clinic(tmp_path)
    write_table(table, [(name, "0", patient, "all") for name, _, patient, _ in rows])
    with pytest.raises(
        BmixError,
        match=r"no image is left: labels.csv(.|\n)*split, 90: The split must be train, val",
    ):
        prepare(table, tmp_path / "data", images=tmp_path / "images", columns=COLUMNS, **QUIET)
    assert not (tmp_path / "data").exists()


@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_folder_of_dicom_files_is_refused_with_what_to_do(tmp_path):
    for name in ("a/1.dcm", "a/2.dcm", "b/3.dcm"):
        (tmp_path / "scans" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scans" / name).write_bytes(bytes(128) + b"DICM")
    with pytest.raises(
        BmixError, match=r"unreadable, 3: (.|\n)*a/1\.dcm: a DICOM file, .*: export it as PNG"
    ):
        prepare(tmp_path / "scans", tmp_path / "data", **QUIET)


@pytest.mark.parametrize("name", ["labels.xlsx", "labels.XLS", "labels.ods"])
def test_a_workbook_is_refused_with_what_to_do(tmp_path, name):
    with pytest.raises(
        BmixError, match="is a workbook of a spreadsheet: save its sheet as CSV UTF-8"
    ):
        prepare(tmp_path / name, tmp_path / "data", images=tmp_path, **QUIET)


def test_names_that_a_spreadsheet_would_compute_are_quoted_in_the_report(tmp_path):
    root = make_folder(tmp_path / "=cmd|' C'!A0")
    (root / "class 0").rename(root / "@sum")
    (root / "@sum/x.png").write_bytes(b"")
    with pytest.raises(BmixError, match="unreadable"):
        prepare(root, tmp_path / "data", **QUIET)
    with open(tmp_path / "data/report.csv", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["kind"] == "unreadable")
    assert (row["where"], row["images"], row["left_out"]) == ("'@sum/x.png",) * 3


def test_a_class_whose_name_is_markup_is_shown_as_text(tmp_path):
    root = make_folder(tmp_path / "photos")
    (root / "class 1").rename(root / "<img src=x onerror=alert(1)>")
    data = prepare(root, tmp_path / "data", **QUIET)
    page = (tmp_path / "data/report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x onerror=alert(1)>" in data.class_names


def test_a_class_that_loses_all_its_images_stops_in_any_case(tmp_path):
    root = make_folder(tmp_path / "photos")
    for path in (root / "class 2").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        BmixError, match=r"lost, 1: .*\n    'class 2': 6 images listed, none is left"
    ):
        prepare(root, tmp_path / "data", on_bad="skip", **QUIET)
    assert not (tmp_path / "data/dataset.json").exists()


def test_the_same_call_again_reads_what_is_there_and_another_is_refused(tmp_path, monkeypatch):
    root = make_folder(tmp_path / "photos")
    first = prepare(root, tmp_path / "data", **QUIET)
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    monkeypatch.setattr("bmix_lite.preparation.prepare.decode_items", None)
    assert prepare(root, tmp_path / "data", **QUIET).fingerprint == first.fingerprint
    for change in (dict(size=17), dict(fit="pad"), dict(bits=12), dict(on_bad="skip")):
        with pytest.raises(BmixError, match="holds a dataset made of other files or options"):
            prepare(root, tmp_path / "data", **QUIET | change)
    draw(77).save(root / "class 0/000.png")
    with pytest.raises(BmixError, match="holds a dataset made of other files or options"):
        prepare(root, tmp_path / "data", **QUIET)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before


def test_the_order_of_the_rows_changes_neither_folds_nor_report(tmp_path):
    table, rows = make_clinic(tmp_path)
    mixed = [rows[number] for number in np.random.default_rng(0).permutation(len(rows))]
    columns = {"group": "patient", "split": None}
    options = dict(images=tmp_path / "images", columns=columns, **QUIET)
    one = prepare(table, tmp_path / "one", **options)
    two = prepare(write_table(tmp_path / "mixed.csv", mixed), tmp_path / "two", **options)
    for fold in range(5):
        parts = [
            dict(zip(data.ids, load(tmp_path / name, split=fold).split, strict=True))
            for data, name in ((one, "one"), (two, "two"))
        ]
        assert parts[0] == parts[1]


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_do_not_change_the_result(tmp_path, jobs):
    root = make_folder(tmp_path / "photos", (70, 40, 30))
    prepare(root, tmp_path / "data", **QUIET | {"jobs": jobs})
    assert sha256_of(tmp_path / "data/images.npy") == sha256_of_direct(root)


def sha256_of_direct(root):
    """The same array made without any of the machinery."""
    images = np.stack([decode_image(path, 16) for path in sorted(root.glob("*/*.png"))])
    np.save(root.parent / "direct.npy", images)
    return sha256_of(root.parent / "direct.npy")


def test_killed_at_any_moment_it_goes_on_without_doing_finished_images_again(tmp_path, monkeypatch):
    root = make_folder(tmp_path / "photos", (600, 500, 400))
    folder = tmp_path / "data"
    call = f"prepare({str(root)!r}, {str(folder)!r}, size=16, jobs=2, progress=False)"
    script = f"from bmix_lite.preparation.prepare import prepare; {call}"
    kept = {}
    for wanted in (2, 9, 20):
        child = subprocess.Popen(
            [sys.executable, "-c", script], start_new_session=True, stderr=subprocess.DEVNULL
        )
        while child.poll() is None and len(list(folder.glob("chunks/*.npz"))) < wanted:
            time.sleep(0.002)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        assert not (folder / "dataset.json").exists()
        found = {path.name: path.stat().st_mtime_ns for path in folder.glob("chunks/*.npz")}
        assert kept.items() <= found.items()
        assert len(found) >= wanted
        kept = found
    made = []
    decode_chunk = cache._decode_chunk

    def decode_and_note(path, *rest):
        made.append(path.name)
        return decode_chunk(path, *rest)

    monkeypatch.setattr(cache, "_decode_chunk", decode_and_note)
    prepare(root, folder, size=16, jobs=1, progress=False)
    assert not set(made) & set(kept)
    assert len(made) + len(kept) == -(-1500 // 32)
    assert sha256_of(folder / "images.npy") == sha256_of_direct(root)
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.json",
        "images.npy",
        "report.csv",
        "report.html",
        "report.json",
        "table.csv",
    ]


@pytest.mark.parametrize("moment", ["images.npy", "table.csv", "dataset.json"])
def test_a_fault_while_writing_leaves_no_half_dataset(tmp_path, monkeypatch, moment):
    root = make_folder(tmp_path / "photos")
    import bmix_lite.data.prepared as prepared

    right = prepared.write_atomic
    if moment == "images.npy":
        monkeypatch.setattr(
            "bmix_lite.data.prepared.os.replace",
            lambda *names: (_ for _ in ()).throw(OSError(28, "full")),
        )
    else:
        name = "write_atomic" if moment == "table.csv" else "write_json"
        monkeypatch.setattr(
            prepared, name, lambda path, x: (_ for _ in ()).throw(OSError(28, "full"))
        )
    with pytest.raises(OSError, match="Errno 28"):
        prepare(root, tmp_path / "data", **QUIET)
    assert not (tmp_path / "data/dataset.json").exists()
    monkeypatch.undo()
    assert prepared.write_atomic is right
    assert len(prepare(root, tmp_path / "data", **QUIET).labels) == 26


def test_a_damaged_chunk_is_removed_and_made_anew(tmp_path):
    root = make_folder(tmp_path / "photos")
    (root / "class 0/bad.png").write_bytes(b"")
    with pytest.raises(BmixError, match="unreadable, 1"):
        prepare(root, tmp_path / "data", **QUIET)
    chunk = next((tmp_path / "data/chunks").iterdir())
    content = bytearray(chunk.read_bytes())
    content[5000] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(BmixError, match=r"was damaged .* is removed: run it again"):
        prepare(root, tmp_path / "data", on_bad="skip", **QUIET)
    assert len(prepare(root, tmp_path / "data", on_bad="skip", **QUIET).labels) == 26


def test_an_npz_of_medmnist_is_taken_as_it_is(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 50), ("val", 20), ("test", 31)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 3)[:, None].astype(np.uint8)
    np.savez_compressed(tmp_path / "some.npz", **arrays)
    data = prepare(
        tmp_path / "some.npz",
        tmp_path / "data",
        class_names={"0": "a", "1": "b", "2": "c"},
        progress=False,
    )
    assert data.images.shape == (101, 28, 28, 1)
    for split in ("train", "val", "test"):
        assert np.array_equal(data.images[data.rows(split)][..., 0], arrays[f"{split}_images"])
        assert np.array_equal(data.labels[data.rows(split)], arrays[f"{split}_labels"][:, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(on_bad="ignore"), "on_bad must be one of stop, skip, got 'ignore'"),
        (dict(fit="squeeze"), "fit must be one of crop, pad, stretch"),
        (dict(size=0), "size must be an integer in 1..4096, got 0"),
        (dict(size=64.0), "size must be an integer in"),
        (dict(images="elsewhere"), "images: only for a table of labels"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused_in_words(tmp_path, options, message):
    with pytest.raises(BmixError, match=message):
        prepare(make_folder(tmp_path / "photos"), tmp_path / "data", **QUIET | options)
    assert not (tmp_path / "data").exists()


def test_images_of_many_sizes_become_one_array(tmp_path):
    root = make_folder(tmp_path / "photos")
    draw(1, 40).resize((90, 40)).save(root / "class 0/wide.png")
    assert prepare(root, tmp_path / "data", **QUIET).images.shape == (27, 16, 16, 3)


def test_the_report_survives_json_and_a_spreadsheet(planted):
    content = json.loads((planted[0] / "data/report.json").read_text())
    labelled = sum(listed for listed, _ in content["classes"].values())
    unlabelled = [f for f in content["faults"] if f["kind"] == "row" or "no label" in f["found"]]
    assert content["listed"] == labelled + len(unlabelled) > labelled
    hostile = [
        line
        for line in (planted[0] / "data/report.csv").read_text().splitlines()
        if ",=" in line or ",@" in line
    ]
    assert not hostile


def test_the_prepared_set_can_be_loaded_without_the_files(tmp_path):
    root = make_folder(tmp_path / "photos")
    fingerprint = prepare(root, tmp_path / "data", **QUIET).fingerprint
    shutil.rmtree(root)
    assert load_prepared(tmp_path / "data").fingerprint == fingerprint


def test_a_file_more_beside_the_images_that_is_not_used_makes_no_other_dataset(tmp_path):
    put(tmp_path, *(f"{number}.png" for number in range(12)))
    table = tmp_path / "t.csv"
    rows = [f"{number}.png,{'ab'[number % 2]}" for number in range(12)]
    table.write_text("\n".join(["path,label", *rows]) + "\n")
    made = tmp_path.parent / f"{tmp_path.name}-made"
    first = prepare_small(table, made)
    put(tmp_path / "extra", "a.png", start=50)
    (tmp_path / "b.dat").write_bytes((tmp_path / "extra/a.png").read_bytes())
    assert prepare_small(table, made).fingerprint == first.fingerprint
    (tmp_path / "gone.csv").write_text(table.read_text() + "gone.png,a\n")
    with pytest.raises(BmixError, match="made of other files or options"):
        prepare_small(tmp_path / "gone.csv", made, on_bad="skip")
