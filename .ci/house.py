"""The picture of the house in CONTRIBUTING.md shows the folders and the core as they are.

python .ci/house.py prints what differs; its status is 1 then.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main():
    sys.exit("\n".join(find_faults((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) or 0)


def find_faults(text):
    """What the picture and the package do not have in common, in sentences."""
    picture = re.search(r"```\nbmix_lite/.*?```", text, re.S)
    if picture is None:
        return ["CONTRIBUTING.md: there is no picture of bmix_lite/"]
    drawn = read_picture(picture[0])
    there = list_house()
    faults = [f"CONTRIBUTING.md shows {name}, which is not there" for name in drawn - there]
    faults += [f"CONTRIBUTING.md does not show {name}" for name in there - drawn]
    return sorted(faults)


def read_picture(picture):
    """Folders ("course/boundary/") and files ("mixing.py") that the picture names."""
    names = set()
    parent = ""
    for line in picture.splitlines()[2:-1]:
        indent = len(line) - len(line.lstrip())
        word = line.split()[0]
        if line.strip().startswith("core,"):
            names |= {f"{name}.py" for name in re.split(r" {2,}", line.strip())[1].split()}
        elif not word.endswith("/"):
            names.add(f"{word}.py")
        else:
            parent = word if indent == 2 else parent
            names.add(word if indent == 2 else parent + word)
    return names


def list_house():
    """Folders and top-level files of the package."""
    package = ROOT / "bmix_lite"
    folders = {path.parent for path in package.rglob("*.py")} | {package / "static"}
    names = {f"{path.relative_to(package)}/" for path in folders - {package}}
    return names | {path.name for path in package.glob("*.py")} - {"__init__.py"}


if __name__ == "__main__":
    main()
