from bmix_lite.course.defect_plots import plot_before_after


def test_the_defective_curve_is_dashed_and_both_are_what_was_given():
    figure = plot_before_after(
        [1, 2], {"before": [3, 4], "<after>": [5, 6]}, title="t", x_title="x", y_title="y"
    )
    assert [list(curve.y) for curve in figure.data] == [[3, 4], [5, 6]]
    assert [curve.line.dash for curve in figure.data] == ["dash", "solid"]
    assert "<" not in figure.data[1].name
    assert figure.layout.yaxis.title.text == "y"
    assert (
        plot_before_after(
            [1], {"a": [1]}, title="", x_title="", y_title="", log=True
        ).layout.yaxis.type
        == "log"
    )
