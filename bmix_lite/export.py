"""A notebook as one HTML page that needs neither Python nor a network: plots alive, formulas as MathML."""

import html
import json
import re
from pathlib import Path

from bmix_lite.files import write_atomic
from bmix_lite.ipynb import read_notebook
from bmix_lite.widgets import PLOTLY_MIME

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"

# nbconvert's page without the scripts that it would load from the internet
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{{ resources.plotly_script }}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}<style>
  body { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
  figure.plotly-figure { margin: 0; }
  math[display="block"] { margin: 0.6rem 0; }
  .jp-InputArea, .jp-OutputArea-child { overflow-x: auto; }
</style>{%- endblock -%}
{%- block footer_js -%}{{ super() }}{{ resources.drawing_script }}{%- endblock -%}
"""

DRAWING = """<script>
for (const place of document.querySelectorAll("figure.plotly-figure")) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  Plotly.newPlot(place.querySelector("div"), figure.data, figure.layout, {responsive: true, displaylogo: false});
}
</script>"""


def export_html(notebook, page, *, title=None):
    """Write the executed `notebook` (a path) as the HTML file `page`, plotly embedded once; returns its Path.

    The page makes no request to anywhere. Raises BmixError if there is no such notebook or it cannot be read.
    """
    from plotly.offline import get_plotlyjs

    notebook = Path(notebook)
    content = read_notebook(notebook)
    content.metadata.pop("widgets", None)
    figures = sum(_prepare_cell(cell, number) for number, cell in enumerate(content.cells))
    exporter = _make_exporter()(exclude_input_prompt=True, exclude_output_prompt=True, embed_images=True)
    exporter.raw_template = TEMPLATE
    scripts = {"plotly_script": f"<script>{get_plotlyjs()}</script>", "drawing_script": DRAWING}
    resources = (scripts if figures else dict.fromkeys(scripts, "")) | {"metadata": {"name": title or notebook.stem}}
    body, _ = exporter.from_notebook_node(content, resources=resources)
    write_atomic(page, body)
    return Path(page)


def _prepare_cell(cell, number):
    """Plotly outputs to figures that the page draws, live widgets to their static twin; returns how many figures."""
    figures = 0
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        data.pop(WIDGET_MIME, None)
        if PLOTLY_MIME in data:
            figures += 1
            output.data = {"text/html": _figure_html(data[PLOTLY_MIME], f"figure-{number}-{figures}")}
    return figures


def _figure_html(figure, name):
    layout = figure.get("layout", {})
    title = re.sub("<[^>]*>", " ", (layout.get("title") or {}).get("text") or "Figure")
    height = int(layout.get("height") or 450)
    content = json.dumps({"data": figure["data"], "layout": layout}).replace("<", "\\u003c")  # no tag can begin in it
    return (
        f'<figure class="plotly-figure" id="{name}" aria-label="{html.escape(html.unescape(title))}">'
        f'<div style="height: {height}px"></div><script type="application/json">{content}</script></figure>'
    )


def _make_exporter():
    """nbconvert's exporter with formulas as MathML; made on first use, because nbconvert takes a second to import."""
    from jinja2 import pass_context
    from nbconvert import HTMLExporter

    class Page(HTMLExporter):
        @pass_context
        def markdown2html(self, context, source):
            return math_to_mathml(super().markdown2html(context, source))

    return Page


def math_to_mathml(page):
    """HTML with $...$ and $$...$$ outside code replaced by MathML, which browsers draw by themselves."""
    from latex2mathml.converter import convert

    def replace(match):
        if match["kept"]:
            return match["kept"]
        formula = html.unescape(match["block"] or match["inline"])
        return convert(formula, display="block" if match["block"] else "inline")

    # a formula stands in one piece of text: neither in a tag nor across tags
    kept = r"(?P<kept><pre.*?</pre>|<code.*?</code>|<[^>]*>)"
    return re.sub(kept + r"|\$\$(?P<block>[^<]+?)\$\$|\$(?P<inline>[^$<\n]+?)\$", replace, page, flags=re.S)
