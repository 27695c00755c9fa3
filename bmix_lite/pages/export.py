"""A notebook as one HTML page: figures and sliders alive without Python or network."""

import html
import json
import re
from pathlib import Path

from bmix_lite.base.files import read_static, write_atomic
from bmix_lite.base.ipynb import read_notebook, run_notebook
from bmix_lite.widgets.explore import MODULE_MIME, PLOTLY_MIME, precomputing
from bmix_lite.widgets.frames import FRAMES_MIME

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"

# nothing may be asked of any other machine, whatever a notebook's text or output holds
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
PLOTLY_FILE = "plotly.min.js"  # beside the pages of a site, which share it
SITE_POLICY = POLICY.replace("script-src", "script-src 'self' file:")

# nbconvert's page without the scripts that it would load from the internet
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{{ resources.head }}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}<style>{{ resources.style }}</style>{%- endblock -%}
{%- block footer_js -%}{{ super() }}{{ resources.foot }}{%- endblock -%}
"""


def export_html(notebook, page, *, title=None, run=False, share_plotly=False):
    """Write `notebook` (a path) as the HTML file `page`, plotly embedded once; returns its Path.

    run: execute it first, in its folder, so that its explorers are alive in the page; else they are
         if it was executed inside `precomputing`, and otherwise show their first figure. The
         notebook is left as it is.
    share_plotly: plotly is a file beside the page instead, for several pages in one folder
    The page makes no request to anywhere. Raises BmixError if the notebook cannot be read, or
    naming a failing cell.
    """
    notebook = Path(notebook)
    page = Path(page)
    content = _read_content(notebook, run)
    figures = sum(_prepare_cell(cell, number) for number, cell in enumerate(content.cells))
    policy = SITE_POLICY if share_plotly else POLICY
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    if figures:
        head += _link_plotly(page.parent) if share_plotly else plotly_script()
    resources = {
        "metadata": {"name": title or notebook.stem},
        "head": head,
        "style": read_static("page.css"),
        "foot": draw_script() if figures else "",
    }
    body, _ = _make_exporter().from_notebook_node(content, resources=resources)
    write_atomic(page, body)
    return page


def _read_content(notebook, run):
    """The notebook, executed if `run`, without what only a kernel could show."""
    if run:
        with precomputing():
            content = run_notebook(notebook)
    else:
        content = read_notebook(notebook)
    content.metadata.pop("widgets", None)
    return content


def plotly_script():
    """plotly.js as a script of the page itself."""
    from plotly.offline import get_plotlyjs

    return f"<script>{get_plotlyjs()}</script>"


def _link_plotly(folder):
    from plotly.offline import get_plotlyjs

    if not (folder / PLOTLY_FILE).is_file():
        write_atomic(folder / PLOTLY_FILE, get_plotlyjs())
    return f'<script src="{PLOTLY_FILE}"></script>'


def draw_script():
    """What draws the figures of a page; stands at its end."""
    return f'<script type="module">{read_static("page.js")}</script>'


def _prepare_cell(cell, number):
    """Turn what scripts draw into HTML that they find; returns how many figures that makes."""
    figures = 0
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        data.pop(WIDGET_MIME, None)
        content = _output_html(data, f"figure-{number}-{figures + 1}")
        if content is not None:
            output.data = {"text/html": content}
            figures += 1
    return figures


def _output_html(data, name):
    """A live widget as its replay or static twin, a figure as itself; None for all other output."""
    frames = data.pop(FRAMES_MIME, {})
    if MODULE_MIME in data:
        return f'<div class="module" id="{name}"><div></div>{_hold(data[MODULE_MIME])}</div>'
    if "packed" in frames:
        return _explorer_html(frames, name)
    if PLOTLY_MIME not in data:
        return None
    figure = figure_html(data[PLOTLY_MIME], name)
    return f"{figure}<p>{html.escape(frames['error'])}</p>" if "error" in frames else figure


def figure_html(figure, name):
    """A figure's JSON as HTML that `draw_script` finds in a page that holds `plotly_script`."""
    layout = figure.get("layout", {})
    title = layout.get("title") or {}
    content = _hold({"data": figure["data"], "layout": layout})
    return (
        f'<figure class="plotly-figure" id="{name}" {_label(title.get("text"))}>'
        f"{_make_room(layout.get('height'))}{content}</figure>"
    )


def _explorer_html(frames, name):
    figures = "".join(
        f'<figure class="explored" {_label(figure["title"])}>'
        f"{_make_room(figure['height'])}</figure>"
        for figure in frames["figures"]
    )
    return (
        f'<div class="explorer" id="{name}"><div class="controls"></div>{figures}'
        f'<p role="alert"></p><script type="text/plain">{frames["packed"]}</script></div>'
    )


def _label(title):
    """The title as the text by which a screen reader names the figure."""
    text = html.unescape(re.sub("<[^>]*>", " ", title or "Figure"))
    return f'aria-label="{html.escape(text)}"'


def _make_room(height):
    """The element that a figure is drawn into; its height is kept, so that the page stays still."""
    return f'<div style="height: {int(height or 450)}px"></div>'


def _hold(value):
    """JSON inside a page, written so that no tag can begin or end in it."""
    content = json.dumps(value).replace("<", "\\u003c")
    return f'<script type="application/json">{content}</script>'


def _make_exporter():
    """nbconvert's exporter with formulas as MathML.

    It is made on first use, because nbconvert takes a second to import.
    """
    from jinja2 import pass_context
    from nbconvert import HTMLExporter

    class Page(HTMLExporter):
        @pass_context
        def markdown2html(self, context, source):
            return _link_pages(math_to_mathml(super().markdown2html(context, source)))

    exporter = Page(exclude_input_prompt=True, exclude_output_prompt=True, embed_images=True)
    exporter.raw_template = TEMPLATE
    return exporter


def _link_pages(page):
    """Links to other notebooks lead to their pages, which `make site` puts side by side."""
    return re.sub(r'href="([^":]+)\.ipynb"', r'href="\1.html"', page)


def math_to_mathml(page):
    """HTML with $...$ and $$...$$ outside code as MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    def replace(match):
        if match["kept"]:
            return match["kept"]
        formula = html.unescape(match["block"] or match["inline"])
        return convert(formula, display="block" if match["block"] else "inline")

    # a formula stands in one piece of text: neither in a tag nor across tags
    kept = r"(?P<kept><pre.*?</pre>|<code.*?</code>|<[^>]*>)"
    block = r"\$\$(?P<block>[^<]+?)\$\$"
    inline = r"\$(?P<inline>[^$<\n]+?)\$"
    return re.sub(f"{kept}|{block}|{inline}", replace, page, flags=re.S)
