"""Accessibility of a page in the browser, by the rules of axe-core."""

from axe_playwright_python.base import AXE_SCRIPT

# rules that are not ours to keep
EXCUSED = {
    # minor
    "empty-table-header": "pandas leaves cells empty where its header rows and its index meet",
}
RUN = "([place, options]) => axe.run(place, options).then(found => found.violations)"


def check_page(page, *widths, place="html"):
    """No rule of axe-core, however minor, is broken in the elements that match `place`.

    Checked in the light at the first of `widths` (the page's, unless given), in the dark at the
    last: colours follow the scheme, positions the width, so not every pair is checked.
    Its script is evaluated by the browser's debugger: the policy of our pages lets none be loaded.
    """
    page.evaluate(AXE_SCRIPT)
    options = {
        "resultTypes": ["violations"],
        "rules": {name: {"enabled": False} for name in EXCUSED},
    }
    found = []
    widths = widths or [page.viewport_size["width"]]
    for width, scheme in ((widths[0], "light"), (widths[-1], "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)  # a figure follows the width of its place
        broken = page.evaluate(RUN, [place, options])
        found += [f"{scheme}, {width} pixels: {_describe(violation)}" for violation in broken]
    assert not found, "\n".join(found)


def _describe(violation):
    nodes = [f"{node['html'][:200]} {node['failureSummary']}" for node in violation["nodes"][:3]]
    return "\n  ".join(
        [f"{violation['id']} ({violation['impact']}, {len(violation['nodes'])} times)", *nodes]
    )
