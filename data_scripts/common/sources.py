"""What every script of data_scripts does: say what the data are, fetch, unpack, compare with the publisher, prepare."""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bmix_lite.base.errors import BmixError, require
from bmix_lite.data.imageset import SPLITS
from bmix_lite.preparation.prepare import list_images, prepare
from bmix_lite.preparation.report import read_report
from bmix_lite.preparation.sources import TABLES
from bmix_lite.preparation.table import read_table


@dataclass(frozen=True)
class File:
    """One file to fetch; sha256 or md5 where the publisher's file does not change; archives are unpacked beside it."""

    url: str
    name: str
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True)
class Source:
    """A public dataset.

    counts: {class: images} as published; class_names: {label in the files: class}
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
        return (
            f"{self.title}\n  from     {self.page}\n  licence  {self.licence}\n  cite     {self.citation}\n"
            f"  disk     {self.disk}"
        )

    def about(self):
        """What is kept with the prepared data."""
        about = {
            "source": self.title,
            "licence": self.licence,
            "citation": self.citation,
            "page": self.page,
        }
        return about | {"ordered": self.ordered}


def run(source, locate, *, fetch=None, arguments=None):
    """The command line of a dataset that `prepare` makes; returns the exit status.

    locate(folder): the arguments of `prepare` ("source", and for tables "images", "columns", …) for the files in it
    fetch(folder): brings the files, where `fetch_files` cannot
    """
    parser = make_parser(source.title, f"data/{source.name}")
    parser.add_argument(
        "--size", type=int, default=source.options.get("size", 128), help="pixels of a side"
    )
    parser.add_argument(
        "--jobs", type=int, default=-1, help="processes, -1: one a core (default: %(default)s)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at faulty images instead of leaving them out"
    )
    parser.add_argument(
        "--labels-only",
        action="store_true",
        help="compare the labels with the published counts only",
    )
    chosen = parser.parse_args(arguments)

    def work():
        found = locate(bring_files(source, chosen, fetch))
        origin = found.pop("source")
        if chosen.labels_only:
            compare(source, count_labels(origin, found))
            return
        images = list_images(origin, **found)
        compare(source, count_images(source, images))
        options = source.options | {"size": chosen.size, "class_names": source.class_names or None}
        options |= {
            "on_bad": "stop" if chosen.strict else "skip",
            "jobs": chosen.jobs,
            "about": source.about(),
        }
        data = prepare(images, chosen.out, **options)
        report = read_report(chosen.out)
        print(
            f"{report.left} of {report.listed} images prepared in {chosen.out}, {data.images.shape[1]} pixels a side"
        )
        print(f"faults: {report.counts() or 'none'}, see {Path(chosen.out) / 'report.html'}")

    return explain(source, work)


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
    """Say what the data are, then work(); the exit status, 2 with the reason for what a user can mend."""
    try:
        print(source.describe(), flush=True)
        work()
    except BmixError as error:
        print(f"{source.name}: {error}", file=sys.stderr)
        return 2
    return 0


def bring_files(source, chosen, fetch=None):
    """The folder with the files of `source`: the one given by --from, or one beside --out, fetched first."""
    folder = Path(chosen.given or f"{chosen.out}-files")
    if chosen.given is None:
        (fetch or (lambda folder: fetch_files(source.files, folder)))(folder)
    require(folder.is_dir(), f"--from: there is no folder {folder}")
    if chosen.given is not None:
        _check_given(source.files, folder)
    return folder


def _check_given(files, folder):
    from common.download import require_right

    for file in files:
        wanted = (file.sha256 and f"sha256:{file.sha256}") or (file.md5 and f"md5:{file.md5}")
        if wanted and (folder / file.name).exists():
            require_right(folder / file.name, wanted)


def fetch_files(files, folder):
    """Download every file into `folder` and unpack the archives; what is there already is checked and kept."""
    from common.archives import extract
    from common.download import download

    for file in files:
        kind = (
            "zip"
            if file.name.endswith((".zip", ".npz"))
            else "tar.gz"
            if file.name.endswith(".tar.gz")
            else "text"
        )
        path = download(
            file.url, Path(folder) / file.name, sha256=file.sha256, md5=file.md5, expect=kind
        )
        if kind != "text" and not file.name.endswith(".npz"):
            extract(path, Path(folder) / file.name.removesuffix(".zip").removesuffix(".tar.gz"))


def find_one(folder, *names):
    """The one file or folder below `folder` with one of these names. Raises BmixError where there is none."""
    for name in names:
        found = sorted(Path(folder).rglob(name))
        if found:
            return found[0]
    raise BmixError(f"{folder}: no {' or '.join(names)} in it or below")


def count_labels(origin, options):
    """Images per label, {label: count}, without a look at the images."""
    if Path(origin).suffix.lower() not in TABLES:
        return list_images(origin, **options).labels
    table = read_table(origin)
    wrong = [f"{fault.where}: {fault.found}" for fault in table.faults if fault.level == "bad"]
    require(not wrong, "\n".join(wrong[:10]))
    return Counter(table.column(options.get("columns", {}).get("label", "label")))


def count_images(source, images):
    """Images a label in a Listing, or a part of the split where the publisher counts those, {name: count}."""
    return (
        Counter(item.split for item in images.items)
        if set(source.counts) <= set(SPLITS)
        else images.labels
    )


def compare(source, counts):
    """Print the images of each class beside the published numbers.

    Raises BmixError where they differ, unless they are those of a known excerpt.
    """
    named = Counter()
    for label, count in counts.items():
        named[source.class_names.get(label.strip(), label.strip())] += count
    published = source.counts
    for words, excerpt in source.excerpts.items():
        if named == Counter(excerpt):
            print(f"  an excerpt: {words}")
            published = excerpt
    names = [*published, *(name for name in named if name not in published)]
    width = max(map(len, names))
    print(f"  {'class':{width}}  published   found")
    for name in names:
        mark = "" if published.get(name, 0) == named[name] else "  differs"
        print(f"  {name:{width}}  {published.get(name, 0):9d}  {named[name]:6d}{mark}")
    differ = [name for name in names if published.get(name, 0) != named[name]]
    if differ:
        raise BmixError(
            f"not as many images as published in {', '.join(differ)}: "
            "are these all files, and no others?"
        )
