"""Faults that are planted among the files of a random source."""

import os
import unicodedata
import zipfile

from PIL import Image

from preparation.source_parts import COLOURS, WORDS, draw, draw_pattern, put


def pick(root, rng):
    """A random image below the root."""
    return rng.choice(sorted(path for path in root.rglob("*.*") if path.is_file()))


def add_cut(source, root, rng, deck):
    path = pick(root, rng)
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) * 2 // 3)])
    return [path.name]


def add_page(source, root, rng, deck):
    path = pick(root, rng)
    path.write_bytes(b"<html>404</html>")
    return [path.name]


def add_copy(source, root, rng, deck):
    path, other = pick(root, rng), pick(root, rng)
    put(other.with_name("twin" + path.suffix), path.read_bytes())
    return ["twin" + path.suffix]


def add_near(source, root, rng, deck):
    path, other = pick(root, rng), pick(root, rng)
    put(path.with_name("near1.png"), draw_pattern(10))
    put(other.with_name("near2.png"), draw_pattern(14))
    return ["near1.png"]


def add_ending(source, root, rng, deck):
    path = pick(root, rng)
    name, content = deck.image(".png")
    name = rng.choice((".jfif", ".heic", ".dat", ".png.bak", "")).join(["odd", ""])
    put(path.with_name(name), content)
    return [name]


def add_link_out(source, root, rng, deck):
    path = pick(root, rng)
    outside = root.parent / "outside.png"
    put(outside, draw(next(deck.numbers)))
    os.symlink(outside, path.with_name("out.png"))
    return ["out.png"]


def add_link_in(source, root, rng, deck):
    path, other = pick(root, rng), pick(root, rng)
    os.symlink(path, other.with_name("link" + path.suffix))
    return ["link" + path.suffix]


def add_pipe(source, root, rng, deck):
    path = pick(root, rng).with_name("pipe.png")
    os.mkfifo(path)
    return [path.name]


def add_mask(source, root, rng, deck):
    path = pick(root, rng)
    name = path.stem + rng.choice(("_mask", "-seg", " mask", "_thumb")) + ".png"
    put(path.with_name(name), draw(next(deck.numbers)))
    if rng.random() < 0.3:
        source.options.setdefault("leave_out", []).append("*" + name[len(path.stem) :])
    return [name]


def add_aside(source, root, rng, deck):
    """A folder, or files of one ending, that the user leaves out."""
    folder = pick(root, rng).parent / "aside"
    for _ in range(2):
        name, content = deck.image()
        put(folder / name, content)
    pattern = rng.choice(("aside", f"{folder.relative_to(root)}/*", "as?de"))
    source.options.setdefault("leave_out", []).append(pattern)
    return None


def add_nested(source, root, rng, deck):
    name, content = deck.image()
    put(pick(root, rng).parent / rng.choice(("more", "old", "test")) / name, content)
    return [name, "more", "old", "test"]


def add_stray(source, root, rng, deck):
    name, content = deck.image()
    put(root / name, content)
    return [name]


def add_empty_class(source, root, rng, deck):
    (pick(root, rng).parent.parent / "hollow").mkdir()
    return ["hollow"]


def add_spelling(source, root, rng, deck):
    folder = pick(root, rng).parent
    name = respell(folder.name, rng)
    if name == folder.name or (folder.parent / name).exists():
        return None
    for _ in range(6):
        put(folder.parent / name / deck.image(".png")[0], draw(next(deck.numbers)))
    return [folder.name, name]


def add_tiny(source, root, rng, deck):
    path = pick(root, rng).with_name("tiny.png")
    put(path, draw(next(deck.numbers), side=rng.choice((1, 4, 7))))
    return [path.name]


def add_frames(source, root, rng, deck):
    path = pick(root, rng).with_name("film.gif")
    frames = [Image.new("RGB", (8, 8), COLOURS[next(deck.numbers)]) for _ in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return [path.name]


def add_archive(source, root, rng, deck):
    path = pick(root, rng).with_name("pack.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", draw(next(deck.numbers)))
    return [path.name]


def add_folder_link(source, root, rng, deck):
    folder = pick(root, rng).parent
    target = folder
    if rng.random() < 0.5:
        target = root.parent / "elsewhere"
        for _ in range(6):
            name, content = deck.image()
            put(target / name, content)
    os.symlink(target, folder.parent / "linked")
    return ["linked"]


def add_second_part(source, root, rng, deck):
    """A part under a second name, or a folder that is none."""
    names = [path.name for path in root.iterdir()]
    spare = [word for words in WORDS.values() for word in words if word not in names]
    name = rng.choice([*spare, "extra"])
    label = pick(root, rng).parent.name
    for _ in range(2):
        file, content = deck.image()
        put(root / name / rng.choice((".", label)) / file, content)
    return [name, file]


def respell(text, rng):
    """Another way to write what reads the same."""
    ways = [text.upper(), text.title(), f"{text} ", f" {text}", text.replace(" ", "  ")]
    ways += [unicodedata.normalize("NFD", text), text + "\u200b", text.replace("a", "а")]
    if text.isdecimal():
        ways += ["0" + text, text + ".0", text + ",0", chr(0xFF10 + int(text[0])) + text[1:]]
    return rng.choice(ways)


FILE_FAULTS = (add_cut, add_page, add_copy, add_near, add_ending, add_tiny, add_frames)
FILE_FAULTS += (add_link_in, add_link_out, add_pipe, add_mask, add_aside)
FOLDER_FAULTS = (*FILE_FAULTS, add_nested, add_stray, add_empty_class, add_spelling, add_archive)
FOLDER_FAULTS += (add_folder_link, add_second_part)


def choose_faults(rng, faults):
    """None, one or two of the faults; last come those whose files are left out, so none hides."""
    chosen = rng.sample(faults, rng.choice((0, 1, 1, 2)))
    last = {"add_mask": 1, "add_aside": 2}
    names = {fault: fault.__name__.removesuffix("_in_table") for fault in chosen}
    return sorted(chosen, key=lambda fault: last.get(names[fault], 0))


def plant_files(source, root, rng, deck, faults):
    """None, one or two planted faults; harmless files that systems leave."""
    for fault in choose_faults(rng, faults):
        marks = fault(source, root, rng, deck)
        if marks:
            source.marks[fault.__name__] = marks
    if rng.random() < 0.3:
        put(root / rng.choice((".DS_Store", "Thumbs.db", ".hidden.png")), b"x")
