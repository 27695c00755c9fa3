// plotly's own widget, 5 MB of script, read once for all figures of a page. anywidget gives each widget two seconds to
// get ready, and one that takes longer never answers again: so a figure is ready at once here, and what the kernel
// sends before the script has been read is kept and told afterwards.
const MESSAGES = ["addTraces", "deleteTraces", "moveTraces", "restyle", "relayout", "update", "animate",
                  "removeLayoutProps", "removeTraceProps"].map(name => `_py2js_${name}`);
const scripts = globalThis.bmixFigureScripts ??= new Map();

const read = async text => {
  await new Promise(resolve => setTimeout(resolve, 50));  // the widgets that came with this one get ready first
  const address = URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
  try {
    return (await import(address)).default;
  } finally {
    URL.revokeObjectURL(address);
  }
};

const keep = model => {
  const kept = [];
  const listeners = MESSAGES.map(name => [`change:${name}`, () => kept.push([name, model.get(name)])]);
  listeners.forEach(([event, listener]) => model.on(event, listener));
  return () => {
    listeners.forEach(([event, listener]) => model.off(event, listener));
    return kept;
  };
};

const tell = (model, start, kept) => {
  let now = null;
  const handlers = {};
  const retold = Object.assign(Object.create(model), {
    get: name => name === now?.[0] ? now[1] : model.get(name),
    on: (event, handler) => { (handlers[event] ??= []).push(handler); model.on(event, handler); },
  });
  start(retold);
  for (now of kept) handlers[`change:${now[0]}`]?.forEach(handler => handler());
  now = null;
};

// Two things that neither plotly nor JupyterLab does for live figures: plotly measures a figure before it has its place
// and then waits for the window to change its size; JupyterLab takes the arrow keys from native lists and boxes.
const fit = plot => {
  let timer;
  const look = () => {
    plot.parentElement?.querySelectorAll("select, input").forEach(input => {
      input.dataset.lmSuppressShortcuts = "true";
    });
    if (!plot.clientWidth || !plot._fullLayout || Math.abs(plot._fullLayout.width - plot.clientWidth) <= 2) return;
    delete plot.layout.width;  // left by new traces; with it plotly keeps the old width
    window.dispatchEvent(new Event("resize"));
  };
  const soon = () => {  // once now and once when plotly has settled
    clearTimeout(timer);
    timer = setTimeout(look, 250);
    look();
  };
  const size = new ResizeObserver(soon), content = new MutationObserver(soon);
  size.observe(plot);
  requestAnimationFrame(() => {
    if (plot.parentElement) content.observe(plot.parentElement, {childList: true, subtree: true});
  });
  return () => { clearTimeout(timer); size.disconnect(); content.disconnect(); };
};

export default () => {
  let figure;
  return {
    initialize(context) {
      const {model} = context, text = model.get("_script"), stop = keep(model);
      if (!scripts.has(text)) scripts.set(text, read(text));
      figure = scripts.get(text).then(make => {
        const made = make();
        tell(model, retold => made.initialize({...context, model: retold}), stop());
        return made;
      });
    },
    async render(context) {
      const remove = await (await figure).render(context), leave = fit(context.el);
      return () => { leave(); remove(); };
    },
  };
};
