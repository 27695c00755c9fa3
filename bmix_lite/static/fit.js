// Two things that neither plotly nor JupyterLab does for live figures: plotly measures a figure before it has its place
// and then waits for the window to change its size; JupyterLab takes the arrow keys from native lists and boxes.
export default {
  render({el}) {
    let timer;
    const fit = () => {
      const plots = [...(el.parentElement?.querySelectorAll(".js-plotly-plot") ?? [])];
      const off = plot => plot.clientWidth && plot._fullLayout && Math.abs(plot._fullLayout.width - plot.clientWidth) > 2;
      const inputs = el.parentElement?.querySelectorAll("select, input") ?? [];
      inputs.forEach(input => { input.dataset.lmSuppressShortcuts = "true"; });
      const wrong = plots.filter(off);
      wrong.forEach(plot => { delete plot.layout.width; });  // left by new traces; with it plotly keeps the old width
      if (wrong.length) window.dispatchEvent(new Event("resize"));
    };
    const soon = () => {  // once now and once when plotly has settled
      clearTimeout(timer);
      timer = setTimeout(fit, 250);
      fit();
    };
    const size = new ResizeObserver(soon), content = new MutationObserver(soon);
    size.observe(el);
    requestAnimationFrame(() => el.parentElement && content.observe(el.parentElement, {childList: true, subtree: true}));
    return () => { clearTimeout(timer); size.disconnect(); content.disconnect(); };
  },
};
