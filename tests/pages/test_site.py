import re

import pytest

from axe import check_page
from bmix_lite.base.errors import BmixError
from bmix_lite.base.ipynb import read_notebook
from bmix_lite.pages.export import PLOTLY_FILE
from bmix_lite.pages.site import LESSONS, make_site
from conftest import ROOT, picture

# titles of figures and axes that the window cuts
OUTSIDE = """[...document.querySelectorAll(".gtitle, .xtitle")].filter(title => {
  const {left, right} = title.getBoundingClientRect();
  return right > innerWidth || left < 0;
}).map(title => title.textContent)"""
PATHS = sorted((ROOT / "notebooks").glob(LESSONS))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The index of a site of the lessons as they lie in the repository; test_pages runs them."""
    return make_site(ROOT / "notebooks", tmp_path_factory.mktemp("site"), run=False)


def test_a_site_is_an_index_a_page_of_each_lesson_pictures_and_one_plotly(site):
    pages = {path.name for path in site.parent.iterdir()}
    assert pages == {f"{path.stem}.html" for path in PATHS} | {
        "index.html",
        "pictures",
        PLOTLY_FILE,
    }
    assert all((site.parent / f"{path.stem}.html").stat().st_size < 1_000_000 for path in PATHS)
    with_figures = {path.stem for path in PATHS if "image/png" in path.read_text()}
    assert {path.stem for path in (site.parent / "pictures").iterdir()} == with_figures


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_the_index_leads_to_every_lesson_on_a_phone_and_in_the_dark(
    site, browser_page, width, scheme
):
    browser_page.emulate_media(color_scheme=scheme)
    browser_page.set_viewport_size({"width": width, "height": 800})
    browser_page.goto(site.as_uri())
    links = browser_page.locator("li a")
    assert links.count() == len(PATHS)
    titles = [read_notebook(path).cells[0].source.splitlines()[0] for path in PATHS]
    for link, title in zip(links.all_inner_texts(), titles, strict=True):
        assert link.split(" · ")[1] == re.sub(r"^# (\d+ )?", "", title)
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    pictures = """[...document.images].every(image => {
      image.scrollIntoView();
      return image.complete && image.naturalWidth > 0;
    })"""
    browser_page.wait_for_function(pictures)
    if kept := picture(f"site-{scheme}-{width}"):
        browser_page.screenshot(path=kept, full_page=True)
    check_page(browser_page, width)  # light and dark
    links.nth(3).press("Enter")
    browser_page.wait_for_selector(".plotly-figure .main-svg, .explored .main-svg")
    assert browser_page.url.endswith(f"{PATHS[3].stem}.html")
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser_page.locator(".gtitle").count() >= 5
    assert browser_page.evaluate(OUTSIDE) == []
    assert browser_page.problems == []


def test_links_between_lessons_stay_in_the_site(site):
    for path in PATHS:
        page = (site.parent / f"{path.stem}.html").read_text(encoding="utf-8")
        assert not re.search(r'href="[^":]*\.ipynb"', page)
        named = re.findall(r'href="(\d\d_\w+\.html)"', page)
        assert [name for name in named if not (site.parent / name).is_file()] == []


def test_a_folder_without_lessons_is_refused(tmp_path):
    with pytest.raises(BmixError, match="holds no lesson"):
        make_site(tmp_path, tmp_path / "out")
