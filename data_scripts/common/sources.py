"""What every script of data_scripts does: describe, fetch, unpack, compare, prepare."""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.data.imageset import SPLITS
from bmix_lite.preparation.decode import FITS
from bmix_lite.preparation.faults import KINDS
from bmix_lite.preparation.prepare import list_images, prepare
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.sources import TABLES
from bmix_lite.preparation.table import read_table

ARCHIVES = {".zip": "zip", ".tar.gz": "tar.gz"}  # ending: what the content must begin as


@dataclass(frozen=True)
class File:
    """One file to fetch; sha256 or md5 where the publisher's file does not change."""

    url: str
    name: str
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Source:
    """A public dataset.

    counts: {class: images} as published
    class_names: {label in the files: class}
    excerpts: {what it is: {class: images}} of known parts of it, which are accepted, too
    """

    name: str
    title: str
    page: str
    licence: str
    citation: str
    disk: str
    counts: dict
    files: tuple = ()
    class_names: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)  # of `prepare`
    ordered: bool = False  # classes are grades
    excerpts: dict = field(default_factory=dict)

    def describe(self):
        """What a user should know before fetching anything."""
        lines = [
            self.title,
            f"  from     {self.page}",
            f"  licence  {self.licence}",
            f"  cite     {self.citation}",
            f"  disk     {self.disk}",
        ]
        return "\n".join(lines)

    def about(self):
        """What is kept with the prepared data."""
        return {
            "source": self.title,
            "licence": self.licence,
            "citation": self.citation,
            "page": self.page,
            "ordered": self.ordered,
        }


def run(source, locate, *, fetch=None, arguments=None):
    """The command line of a dataset that `prepare` makes; returns the exit status.

    locate(folder): returns the arguments of `prepare` for the files in it, as a dict with "source"
    and, for tables, "images", "columns", …
    fetch(folder): brings the files, where `fetch_files` cannot
    """
    chosen = _make_run_parser(source).parse_args(arguments)

    def work():
        listing = locate(bring_files(source, chosen, fetch))
        origin = listing.pop("source")
        if chosen.labels_only:
            compare(source, count_labels(origin, listing))
            return
        images = list_images(origin, **listing)
        compare(source, count_images(source, images))
        _prepare(source, images, chosen)

    return explain(source, work)


def _make_run_parser(source):
    parser = make_parser(source.title, f"data/{source.name}")
    parser.add_argument(
        "--size", type=int, default=source.options.get("size", 128), help="pixels per side"
    )
    parser.add_argument(
        "--fit",
        choices=FITS,
        default=source.options.get("fit", "crop"),
        help="how an image becomes a square (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=int, default=-1, help="processes, -1: one per core (default: %(default)s)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at faulty images instead of leaving them out"
    )
    parser.add_argument(
        "--labels-only",
        action="store_true",
        help="only compare the labels with the published counts",
    )
    return parser


def _prepare(source, images, chosen):
    """Prepare the images in --out, and print what was left out."""
    options = source.options | {"size": chosen.size, "fit": chosen.fit}
    data = prepare(
        images,
        chosen.out,
        class_names=source.class_names or None,
        on_bad="stop" if chosen.strict else "skip",
        jobs=chosen.jobs,
        about=source.about(),
        **options,
    )
    report = read_report(chosen.out)
    print(
        f"{report.left} of {report.listed} images prepared in {chosen.out},"
        f" {data.images.shape[1]} pixels per side"
    )
    for kind in report.counts():
        faults = [fault for fault in report.faults if fault["kind"] == kind]
        left_out = {image for fault in faults for image in fault["left_out"]}
        if left_out:
            print(f"left out: {len(left_out)}, {kind}: {KINDS[kind][1]}")
    print(f"faults: {report.counts() or 'none'}, see {Path(chosen.out) / 'report.html'}")


def make_parser(description, out):
    """The options that every script takes. out: where the result goes, unless said otherwise"""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--from", dest="given", metavar="PATH", help="a folder that has the files already"
    )
    parser.add_argument(
        "--out",
        default=out,
        help="the folder of the result (default: data/ and the name of the set)",
    )
    return parser


def explain(source, work):
    """Describe the data, then work(); the exit status, 2 after an error that the user can fix."""
    try:
        print(source.describe(), flush=True)
        work()
    except BmixError as error:
        print(f"{source.name}: {error}", file=sys.stderr)
        return 2
    return 0


def bring_files(source, chosen, fetch=None):
    """The folder with the files of `source`: that of --from, or one beside --out, fetched first.

    fetch(folder): see `run`
    """
    if chosen.given is not None:
        folder = Path(chosen.given)
        require(folder.is_dir(), f"--from: there is no folder {folder}")
        _check_given(source.files, folder)
        return folder
    folder = Path(f"{chosen.out}-files")
    if fetch is None:
        fetch_files(source.files, folder)
    else:
        fetch(folder)
    return folder


def _check_given(files, folder):
    from common.download import require_right

    for file in files:
        path = folder / file.name
        if not path.exists():
            continue
        if file.sha256:
            require_right(path, f"sha256:{file.sha256}")
        elif file.md5:
            require_right(path, f"md5:{file.md5}")


def fetch_files(files, folder):
    """Download every file into `folder` and unpack the archives; what is there is kept."""
    from common.archives import extract
    from common.download import download

    for file in files:
        path = Path(folder) / file.name
        archive_ending = next((end for end in ARCHIVES if file.name.endswith(end)), None)
        expect = ARCHIVES.get(archive_ending, "npz" if path.suffix == ".npz" else "text")
        download(file.url, path, sha256=file.sha256, md5=file.md5, expect=expect)
        if archive_ending:
            extract(path, path.with_name(file.name.removesuffix(archive_ending)))


def find_one(folder, *names):
    """The first file or folder below `folder` with one of these names; BmixError without any."""
    for name in names:
        paths = sorted(Path(folder).rglob(name))
        if paths:
            return paths[0]
    raise BmixError(f"{folder}: no {' or '.join(names)} in it or below")


def count_labels(origin, options):
    """Images per label, {label: count}, without a look at the images."""
    if Path(origin).suffix.lower() not in TABLES:
        return list_images(origin, **options).labels
    table = read_table(origin)
    faults = [f"{fault.where}: {fault.found}" for fault in table.faults if fault.level == "bad"]
    if faults:
        raise BmixError("\n".join(faults[:10]))
    return Counter(table.column(options.get("columns", {}).get("label", "label")))


def count_images(source, images):
    """Images of a Listing, {name: count}: per label, or per split where the publisher counts so."""
    if set(source.counts) <= set(SPLITS):
        return Counter(item.split for item in images.items)
    return images.labels


def compare(source, counts):
    """Print the images of each class beside the published numbers.

    Raises BmixError where they differ, unless they are those of a known excerpt.
    """
    found_of = Counter()
    for label, count in counts.items():
        found_of[source.class_names.get(label.strip(), label.strip())] += count
    published = source.counts
    for words, excerpt in source.excerpts.items():
        if found_of == Counter(excerpt):
            print(f"  an excerpt: {words}")
            published = excerpt
    names = [*published, *(name for name in found_of if name not in published)]
    width = max(map(len, names))
    differing_names = []
    print(f"  {'class':{width}}  published   found")
    for name in names:
        expected = published.get(name, 0)
        if expected != found_of[name]:
            differing_names.append(name)
        mark = "  differs" if expected != found_of[name] else ""
        print(f"  {name:{width}}  {expected:9d}  {found_of[name]:6d}{mark}")
    if differing_names:
        raise BmixError(
            f"not as many images as published in {', '.join(differing_names)}:"
            " are these all files, and no others?"
        )
