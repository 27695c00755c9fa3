"""Accessibility of a page in the browser, by the rules of axe-core."""

from axe_playwright_python.base import AXE_SCRIPT

# rules that are not ours to keep
EXCUSED = {
    # minor: pandas leaves the cells empty where its rows of headers and its index meet
    "empty-table-header",
}
# what the dark page at another width can break that the light one did not: colours and positions
LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable"]
RUN = "([selector, options]) => axe.run(selector, options).then(results => results.violations)"


def check_page(page, *widths, place="html"):
    """No rule of axe-core is broken in `place`, a selector, of whatever gravity.

    Looked at are the light page at the first of `widths` and the dark page at the last (the page's
    width unless given): colours follow the one, positions the other, so not every pair is needed,
    and of the dark page only what depends on them (LOOKS): names and roles are the same there.
    The script is evaluated by the browser's debugger: the policy of our pages lets none be loaded.
    """
    page.evaluate(AXE_SCRIPT)
    all_rules = {"rules": {name: {"enabled": False} for name in EXCUSED}}
    faults = []
    widths = widths or [page.viewport_size["width"]]
    for width, scheme, rules in (
        (widths[0], "light", all_rules),
        (widths[-1], "dark", {"runOnly": {"type": "rule", "values": LOOKS}}),
    ):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)  # a figure follows the width that it is given
        options = {"resultTypes": ["violations"]} | rules
        violations = page.evaluate(RUN, [place, options])
        faults += [f"{scheme}, {width} pixels: {_describe(violation)}" for violation in violations]
    assert not faults, "\n".join(faults)


def _describe(violation):
    nodes = [f"{node['html'][:200]} {node['failureSummary']}" for node in violation["nodes"][:3]]
    return "\n  ".join(
        [f"{violation['id']} ({violation['impact']}, {len(violation['nodes'])} times)", *nodes]
    )
