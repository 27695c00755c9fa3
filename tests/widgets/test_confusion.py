import json

import numpy as np
import pytest

from axe import check_page
from bmix_lite.base.errors import BmixError
from bmix_lite.metrics import score
from bmix_lite.widgets.confusion import MOST_CLASSES, MOST_IMAGES, DraggableConfusion
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME, PRECOMPUTE
from tiny import HOSTILE

FIVE = [*HOSTILE[:3], "", "y" * 200]
MATRIX = [[7, 2, 0], [1, 25, 4], [0, 0, 1]]
NAMES = ["rbc", "wbc", "platelets"]
METRICS = {
    "accuracy": "accuracy",
    "balanced accuracy": "balanced_accuracy",
    "macro-F1": "macro_f1",
    "MCC": "mcc",
    "kappa, quadratic": "kappa",
}

# what a page without a kernel gives the script, and what it wrote back
SHOW = """async ([esm, state]) => {
  const listeners = {};
  window.state = state;
  window.saves = [];
  const model = {
    get: name => state[name],
    set: (name, value) => {
      state[name] = value;
      (listeners[`change:${name}`] ?? []).forEach(call => call());
    },
    save_changes: () => saves.push(structuredClone(state.matrix)),
    on: (event, call) => { (listeners[event] ??= []).push(call); },
    off: event => { delete listeners[event]; },
  };
  window.model = model;
  window.module = await import(URL.createObjectURL(new Blob([esm], {type: "text/javascript"})));
  window.leave = module.default.render({model, el: document.querySelector("main")});
}"""


@pytest.fixture
def show(browser_page):
    """Show a widget's script in a page without a kernel; returns the page."""

    def show(matrix=MATRIX, names=NAMES, width=1000):
        widget = DraggableConfusion(matrix, names)
        browser_page.set_viewport_size({"width": width, "height": 900})
        browser_page.set_content(f"<style>{widget._css}</style><main></main>")
        state = {name: getattr(widget, name) for name in ("matrix", "class_names", "start")}
        browser_page.evaluate(SHOW, [str(widget._esm), state])
        return browser_page

    yield show
    assert browser_page.problems == []


def cell_at(page, row, column):
    return page.locator(".row").nth(row + 1).locator(".cell").nth(column)


def drag(page, start, end):
    for (row, column), act in ((start, page.mouse.down), (end, page.mouse.up)):
        box = cell_at(page, row, column).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
        act()


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def read_matrix(page):
    return [
        [int(cell.inner_text()) for cell in row.locator(".cell").all()]
        for row in page.locator(".row").all()[1:]
    ]


def read_message(page):
    return page.locator("[role=status]").inner_text()


def read_metrics(page):
    rows = page.locator(".metric[role=img]").all()
    return {
        row.locator("span").first.inner_text(): row.locator(".now").inner_text() for row in rows
    }


def is_focused(page, row, column):
    return cell_at(page, row, column).evaluate("cell => cell === document.activeElement")


def score_counts(matrix):
    """The metrics of this package for a matrix of counts, as the page names them."""
    size = len(matrix)
    rows = [(i, j) for i in range(size) for j in range(size) for _ in range(matrix[i][j])]
    labels, predicted = np.array(rows).T
    values = score(labels, np.eye(size)[predicted], tuple(METRICS.values()))
    return {shown: values[name] for shown, name in METRICS.items()}


def make_matrices():
    """Random ones of 2 to 7 classes; with absent and unseen classes, constant predictions, and
    one class only.
    """
    rng = np.random.default_rng(0)
    matrices = [
        [[0, 5], [0, 0]],
        [[5, 0], [0, 0]],
        [[0, 0], [0, 5]],
        [[0, 3], [4, 0]],
        [[0, 0, 9], [0, 0, 0], [9, 0, 0]],
    ]
    for number in range(60):
        size = int(rng.integers(2, 8))
        matrix = rng.poisson(rng.choice([0.3, 2, 20]), (size, size))
        matrix[rng.random(size) < 0.25] = 0
        if number % 4 == 0:
            matrix[:, rng.random(size) < 0.4] = 0
        if number % 10 == 0:
            matrix[:, 1:] = 0
        matrix[0, 0] += matrix.sum() == 0
        matrices.append(matrix.tolist())
    return matrices


def test_what_was_dragged_in_the_page_is_read_in_the_kernel():
    widget = DraggableConfusion(np.array(MATRIX), tuple(NAMES))
    assert (widget.matrix, widget.class_names) == (MATRIX, NAMES)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), names="matrix")
    moved = [[5, 4, 0], *MATRIX[1:]]
    widget.set_state({"matrix": moved})
    assert widget.matrix == moved
    assert seen == [moved]
    assert widget.get_state(["matrix", "start"]) == {"matrix": moved, "start": MATRIX}


def test_its_score_is_that_of_the_matrix_as_it_stands():
    widget = DraggableConfusion([[3, 1], [2, 2]], ["no", "yes"])
    assert widget.score()["balanced_accuracy"] == pytest.approx((3 / 4 + 2 / 4) / 2)
    widget.matrix = [[4, 0], [2, 2]]
    assert widget.score()["balanced_accuracy"] == pytest.approx((1 + 2 / 4) / 2)


def test_an_array_assigned_in_the_kernel_goes_to_the_page_as_lists():
    widget = DraggableConfusion(MATRIX, NAMES)
    widget.matrix = np.eye(3)
    assert json.dumps(widget.get_state("matrix")) == '{"matrix": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}'
    with pytest.raises(BmixError, match="3 x 3"):
        widget.matrix = [[1, 2], [3, 4]]
    assert widget.matrix == np.eye(3).tolist()


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (
            [[1, 2, 3], [4, 5, 6]],
            ["a", "b"],
            r"matrix must be square, 2 x 2 for these class_names, got shape \(2, 3\)",
        ),
        ([[1, 2], [3, 4]], ["a", "b", "c"], r"3 x 3 for these class_names, got shape \(2, 2\)"),
        ([[1, 2], [3]], ["a", "b"], "matrix must be square"),
        ([[1, 2], [-3, 4]], ["a", "b"], "counts of 0 or more, got -3 in row 1, column 0"),
        ([[1, 2.5], [3, 4]], ["a", "b"], "whole numbers, got 2.5 in row 0, column 1"),
        ([[1, 2], [3, float("nan")]], ["a", "b"], "whole numbers, got nan in row 1, column 1"),
        ([[1, 2], [3, float("inf")]], ["a", "b"], "whole numbers, got inf"),
        ([["1", "2"], ["3", "4"]], ["a", "b"], "whole numbers, got"),
        ([[1, 2], [3, None]], ["a", "b"], "whole numbers, got"),
        ([[True, False], [False, True]], ["a", "b"], "whole numbers, got bool"),
        (
            [[1, 2], [3, MOST_IMAGES]],
            ["a", "b"],
            "at most 90,000,000 images in all, got 90,000,006",
        ),
        ([[1]], ["a"], f"class_names must be 2 to {MOST_CLASSES} names, got 1"),
        (np.eye(24), list("abcdefghijklmnopqrstuvwx"), "class_names must be 2 to 23 names, got 24"),
    ],
)
def test_what_is_no_confusion_matrix_is_refused_in_words(matrix, names, message):
    with pytest.raises(BmixError, match=message):
        DraggableConfusion(matrix, names)


def test_saved_without_a_kernel_it_is_the_same_figure_in_every_run(monkeypatch):
    monkeypatch.delenv(PRECOMPUTE, raising=False)
    one, other = (DraggableConfusion(MATRIX, NAMES)._repr_mimebundle_()[0] for _ in range(2))
    assert one["text/plain"] == "DraggableConfusion(3 classes, 40 images)"
    assert json.dumps(one[PLOTLY_MIME]) == json.dumps(other[PLOTLY_MIME])
    assert one[PLOTLY_MIME]["data"][0]["text"][1] == ["1", "25", "4"]
    assert MODULE_MIME not in one


def test_for_a_page_without_a_kernel_it_carries_its_script_and_its_state(monkeypatch):
    monkeypatch.setenv(PRECOMPUTE, "1")
    widget = DraggableConfusion(MATRIX, NAMES)
    widget.matrix = np.diag([9, 30, 1])
    module = json.loads(json.dumps(widget._repr_mimebundle_()[0][MODULE_MIME]))
    assert module["state"] == {
        "matrix": np.diag([9, 30, 1]).tolist(),
        "class_names": NAMES,
        "start": MATRIX,
    }
    assert "export default { render }" in module["esm"]
    assert ".bmix-confusion" in module["css"]


def test_the_script_never_writes_markup_and_asks_nothing_of_the_network():
    script = str(DraggableConfusion._esm)
    forbidden = (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "fetch(",
        "import ",
        "http",
    )
    assert [word for word in forbidden if word in script] == []


def test_the_metrics_of_the_page_are_those_of_this_package(show):
    page = show()
    matrices = make_matrices()
    expected = [score_counts(matrix) for matrix in matrices]
    computed = page.evaluate("matrices => matrices.map(module.score)", matrices)
    undefined = 0
    for matrix, ours, theirs in zip(matrices, expected, computed, strict=True):
        assert theirs == pytest.approx(ours, abs=1e-12, nan_ok=True), matrix
        undefined += np.isnan(list(ours.values())).any()
    assert undefined > 2


def test_numbers_bars_and_ticks_show_the_metrics_now_and_at_the_start(show):
    page = show()
    expected = {name: f"{value:.3f}" for name, value in score_counts(MATRIX).items()}
    assert read_metrics(page) == expected
    drag(page, (0, 0), (0, 2))
    now = score_counts([[6, 2, 1], *MATRIX[1:]])
    assert read_metrics(page) == {name: f"{value:.3f}" for name, value in now.items()}
    for row in page.locator(".metric[role=img]").all():
        name = row.locator("span").first.inner_text()
        assert (
            row.get_attribute("aria-label")
            == f"{name} {now[name]:.3f}, at the start {expected[name]}"
        )
        track, bar, tick = (
            row.locator(part).bounding_box() for part in (".track", ".bar", ".tick")
        )
        assert bar["width"] / track["width"] == pytest.approx(now[name], abs=0.005)
        middle = tick["x"] + tick["width"] / 2 - track["x"]
        assert middle / track["width"] == pytest.approx(float(expected[name]), abs=0.005)


def test_a_metric_below_zero_is_a_bar_to_the_left_of_zero_on_a_scale_from_minus_one(show):
    page = show([[0, 4], [4, 0]], ["a", "b"])
    assert read_metrics(page)["MCC"] == "-1.000"
    row = page.locator(".metric[role=img]").nth(3)
    track, bar = (row.locator(part).bounding_box() for part in (".track", ".bar"))
    assert bar["x"] == pytest.approx(track["x"])
    assert bar["width"] == pytest.approx(track["width"] / 2)
    assert page.locator(".axis span span").all_inner_texts() == ["-1", "0", "1"]


def test_what_is_undefined_is_said_to_be_so(show):
    for matrix in ([[5, 0], [0, 0]], [[0, 0], [0, 0]]):
        page = show(matrix, ["a", "b"])
        shown = read_metrics(page)
        assert (shown["MCC"], shown["kappa, quadratic"]) == ("undefined", "undefined")
        assert shown["accuracy"] == ("1.000" if matrix[0][0] else "undefined")
        assert not page.locator(".bar").nth(3).is_visible()
        assert not page.locator(".tick").nth(3).is_visible()
        assert "NaN" not in page.locator("main").inner_text()
    page = show([[5, 0], [0, 5]], ["a", "b"])
    page.evaluate("model.set('matrix', [[5, 0], [0, 0]])")
    assert [bar.is_visible() for bar in page.locator(".bar").all()] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("classes", [3, 7, 23])
def test_it_keeps_the_rules_of_accessibility_at_rest_and_while_images_are_held(show, classes):
    names = [f"class {number}" for number in range(classes)]
    page = show((np.eye(classes, dtype=int) * 40 + 3).tolist(), names, width=1280)
    check_page(page, 390, 1280, place=".bmix-confusion")
    cell_at(page, 0, 1).press("Enter")
    cell_at(page, 0, 1).press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator(".message.refused").count() == 1
    check_page(page, 390, 1280, place=".bmix-confusion")


def test_a_drag_moves_a_step_of_images_within_the_row_and_says_so(show):
    for step, moved in (("1", 1), ("10", 10), ("half", 13), ("all", 25)):
        page = show()
        page.get_by_label("Images per move").select_option(step)
        drag(page, (1, 1), (1, 2))
        expected = [MATRIX[0], [1, 25 - moved, 4 + moved], MATRIX[2]]
        assert read_matrix(page) == expected
        assert page.evaluate("saves") == [expected]
        images = "1 image" if moved == 1 else f"{moved} images"
        assert read_message(page) == f"{images} of 'wbc' from predicted 'wbc' to 'platelets'"
        assert (
            cell_at(page, 1, 2)
            .get_attribute("aria-label")
            .endswith(f"predicted 'platelets': {4 + moved} images")
        )


def test_never_more_images_are_moved_than_there_are(show):
    page = show()
    page.get_by_label("Images per move").select_option("10")
    drag(page, (0, 1), (0, 2))
    assert read_matrix(page)[0] == [7, 0, 2]
    drag(page, (0, 1), (0, 2))
    assert read_matrix(page)[0] == [7, 0, 2]
    assert read_message(page) == "There is no image of 'rbc' predicted 'wbc'."


def test_a_drag_to_another_row_is_refused_visibly_and_to_nowhere_put_back(show):
    page = show()
    drag(page, (1, 1), (0, 1))
    assert "refused" in cell_at(page, 0, 1).get_attribute("class")
    assert (
        read_message(page) == "Refused: the true class of an image stays. Keep to the row of 'wbc'."
    )
    assert page.locator(".held, .holding").count() == 0
    box = cell_at(page, 1, 1).bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(5, 5)
    page.mouse.up()
    assert read_message(page) == "Put back: nothing moved."
    assert page.locator(".held, .holding, .cell.refused").count() == 0
    assert read_matrix(page) == MATRIX
    assert page.evaluate("saves") == []


def test_while_images_are_held_the_row_stays_open_and_the_others_are_closed(show):
    page = show()
    cell_at(page, 1, 1).click()
    assert page.locator(".cell.open").count() == 3
    cell_at(page, 1, 0).hover()
    assert page.locator(".chip").inner_text() == "1 image"
    assert "target" in cell_at(page, 1, 0).get_attribute("class")
    cell_at(page, 2, 0).hover()
    assert "refused" in cell_at(page, 2, 0).get_attribute("class")
    assert "refused" in page.locator(".chip").get_attribute("class")
    page.mouse.move(5, 5)
    assert not page.locator(".chip").is_visible()


def test_a_click_picks_up_and_a_second_one_drops(show):
    page = show()
    cell_at(page, 1, 1).click()
    cell_at(page, 0, 0).click()
    assert read_message(page).startswith("Refused")
    cell_at(page, 1, 0).click()
    assert read_matrix(page)[1] == [2, 24, 4]
    cell_at(page, 1, 1).click()
    cell_at(page, 1, 1).click()
    assert read_message(page) == "Put back: nothing moved."
    assert len(page.evaluate("saves")) == 1


def test_shift_and_an_arrow_move_images_to_the_neighbour_and_the_focus_follows(show):
    page = show()
    cell_at(page, 0, 0).focus()
    press(page, "ArrowDown", "ArrowRight", "Shift+ArrowRight")
    assert is_focused(page, 1, 2)
    assert read_matrix(page)[1] == [1, 24, 5]
    assert read_message(page) == "1 image of 'wbc' from predicted 'wbc' to 'platelets'"
    page.get_by_label("Images per move").select_option("all")
    cell_at(page, 1, 2).focus()
    press(page, "Shift+ArrowLeft", "Shift+ArrowLeft")
    assert is_focused(page, 1, 0)
    assert read_matrix(page)[1] == [30, 0, 0]
    press(page, "Shift+ArrowLeft")
    assert read_message(page) == "There is no class on that side."
    press(page, "Shift+ArrowUp")
    assert read_message(page).startswith("Refused: the true class of an image stays")
    assert is_focused(page, 1, 0)
    press(page, "ArrowRight", "Shift+ArrowRight")
    assert read_message(page) == "There is no image of 'wbc' predicted 'wbc'."
    assert is_focused(page, 1, 1)
    assert len(page.evaluate("saves")) == 3


def test_enter_picks_up_and_drops_and_escape_puts_back(show):
    page = show()
    cell_at(page, 1, 1).focus()
    press(page, "Enter", "ArrowUp")
    assert "refused" in cell_at(page, 0, 1).get_attribute("class")
    press(page, "Enter")
    assert read_message(page).startswith("Refused")
    press(page, "ArrowDown", "ArrowLeft", "Enter")
    assert read_matrix(page) == [MATRIX[0], [2, 24, 4], MATRIX[2]]
    press(page, "Enter", "ArrowRight", "Escape", "Enter", "Enter")
    assert read_message(page) == "Put back: nothing moved."
    assert len(page.evaluate("saves")) == 1


def test_one_cell_is_in_the_tab_order_and_arrows_move_it_along_but_not_out(show):
    page = show()
    press(page, "Tab", "Tab", "Tab")
    assert is_focused(page, 0, 0)
    press(page, "ArrowUp", "ArrowLeft", "ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown")
    assert is_focused(page, 2, 1)
    tabs = page.locator("[role=gridcell]").evaluate_all("cells => cells.map(cell => cell.tabIndex)")
    assert tabs == [-1, -1, -1, -1, -1, -1, -1, 0, -1]
    press(page, "Tab", "Shift+Tab")
    assert is_focused(page, 2, 1)


def test_what_takes_the_focus_keeps_its_keys_from_jupyterlab_and_says_what_it_is(show):
    page = show()
    for part in ("[role=gridcell]", "select", "button"):
        flags = page.locator(part).evaluate_all(
            "all => all.map(one => one.dataset.lmSuppressShortcuts)"
        )
        assert set(flags) == {"true"}
    assert (
        page.get_by_role(
            "grid", name="Confusion matrix: rows are true classes, columns predicted"
        ).count()
        == 1
    )
    assert page.get_by_role("row").count() == 4
    assert page.get_by_role("rowheader").count() == 3
    assert page.get_by_role("columnheader").count() == 4
    assert (
        page.get_by_role(
            "gridcell", name="true 'wbc', predicted 'platelets': 4 images"
        ).inner_text()
        == "4"
    )
    assert page.get_by_role("button", name="Start again").count() == 1
    assert page.locator("[role=status][aria-live=polite]").count() == 1


def test_whatever_is_moved_the_images_of_a_class_stay_and_start_again_restores_all(show):
    page = show()
    rng = np.random.default_rng(1)
    for step in ("1", "10", "half", "all") * 3:
        page.get_by_label("Images per move").select_option(step)
        row, start, end = rng.integers(0, 3, 3)
        drag(page, (row, start), (row, end))
        press(page, "Escape")
        assert [sum(counts) for counts in read_matrix(page)] == [9, 30, 1]
        assert read_matrix(page) == page.evaluate("state.matrix")
    assert read_matrix(page) != MATRIX
    page.get_by_role("button", name="Start again").click()
    assert read_matrix(page) == MATRIX == page.evaluate("saves.at(-1)")
    assert read_metrics(page) == {
        name: f"{value:.3f}" for name, value in score_counts(MATRIX).items()
    }


def test_a_matrix_set_in_the_kernel_is_drawn_until_the_view_is_closed(show):
    page = show()
    page.evaluate("model.set('matrix', [[1, 8, 0], [0, 30, 0], [0, 0, 1]])")
    assert read_matrix(page)[0] == [1, 8, 0]
    assert page.locator(".tick").first.evaluate("tick => tick.style.left") == "82.5%"
    page.evaluate("leave()")
    page.evaluate("model.set('matrix', [[9, 0, 0], [0, 30, 0], [0, 0, 1]])")
    assert read_matrix(page)[0] == [1, 8, 0]


def test_hostile_names_are_text_and_long_ones_are_cut_with_a_title(show):
    page = show(np.eye(5, dtype=int) * 3, FIVE)
    assert page.locator("main img").count() == 0
    shown = ["(no name)" if name == "" else name for name in FIVE]
    assert page.locator(".column").all_text_contents() == shown
    assert page.locator(".name span").all_text_contents() == shown
    for place in (page.locator(".column").nth(4), page.locator(".name span").nth(4)):
        assert place.evaluate("name => name.scrollWidth > name.clientWidth")
        assert place.evaluate("name => name.closest('[title]').title").startswith("y" * 200)
    drag(page, (0, 0), (0, 2))
    assert read_message(page) == f"1 image of '{FIVE[0]}' from predicted '{FIVE[0]}' to '糖尿病'"


def test_at_800_pixels_everything_is_inside_the_card_and_no_count_is_cut(show):
    for classes in (2, 3, 10, 15, 23):
        matrix = np.full((classes, classes), 30) + np.diag([900] * classes)
        page = show(matrix, [f"a class with a long name {j}" for j in range(classes)], width=800)
        assert page.evaluate("document.documentElement.scrollWidth") <= 800
        grid = page.locator(".grid")
        assert grid.evaluate(
            "grid => grid.scrollWidth <= grid.clientWidth && grid.scrollHeight <= grid.clientHeight"
        )
        cut = page.locator(".cell, .now").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth).length"
        )
        assert cut == 0
        assert min(name.bounding_box()["width"] for name in page.locator(".name span").all()) > 40
        columns = [name.bounding_box() for name in page.locator(".column").all()]
        assert min(max(column["width"], column["height"]) for column in columns) > 70


def test_counts_stay_readable_on_every_shade(show):
    page = show([[9, 0], [3, 6]], ["a", "b"])
    shades = """cells => cells.map(cell => {
      const style = getComputedStyle(cell), context = new OffscreenCanvas(1, 1).getContext("2d");
      return [style.color, style.backgroundColor].map(colour => {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
      });
    })"""
    pairs = np.array(page.locator(".cell").evaluate_all(shades)) / 255
    linear = np.where(pairs <= 0.04045, pairs / 12.92, ((pairs + 0.055) / 1.055) ** 2.4)
    light = np.sort(linear @ [0.2126, 0.7152, 0.0722], axis=1)
    assert ((light[:, 1] + 0.05) / (light[:, 0] + 0.05)).min() > 4.5
    assert len({tuple(ground) for ground in pairs[:, 1].tolist()}) == 4
