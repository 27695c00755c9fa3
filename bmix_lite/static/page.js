// What makes an exported page alive: figures, explorers that replay precomputed frames, and small widgets.
const SETTINGS = {responsive: true, displaylogo: false};

for (const place of document.querySelectorAll("figure.plotly-figure")) {
  const figure = JSON.parse(place.querySelector("script").textContent);
  const target = place.querySelector("div");
  Plotly.newPlot(target, figure.data, fit(figure.layout, target), SETTINGS);
}

for (const place of document.querySelectorAll(".explorer")) explore(place);

for (const place of document.querySelectorAll(".module")) {
  const {esm, css, state} = JSON.parse(place.querySelector("script").textContent);
  const style = document.createElement("style");
  style.textContent = css;
  place.append(style);
  import(URL.createObjectURL(new Blob([esm], {type: "text/javascript"})))
    .then(module => module.default.render({model: makeModel(state), el: place.querySelector("div")}));
}

// the words of a figure shrink on a phone, where plotly would cut them
function fit(layout, place) {
  if (place.clientWidth > 600) return layout;
  const titles = [layout.title, layout.title?.subtitle];
  titles.push(...Object.keys(layout).filter(name => /^[xy]axis/.test(name)).map(name => layout[name].title));
  for (const title of titles.filter(title => title?.text)) {
    const lines = title.text.split("<br>").map(line => line.replace(/<[^>]*>/g, "").length);
    const most = titles.indexOf(title) > 1 ? 11 : title.font?.size ?? 16;
    title.font = {...title.font, size: Math.max(8, Math.min(most, 2.1 * place.clientWidth / Math.max(...lines)))};
  }
  return layout;
}

// what is wider than the page scrolls, by keyboard too
const watcher = new ResizeObserver(entries => entries.forEach(({target}) => {
  target.toggleAttribute("tabindex", false);
  if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
}));
document.querySelectorAll(".jp-MarkdownOutput, .scroll").forEach(place => watcher.observe(place));

async function explore(place) {
  const packed = Uint8Array.from(atob(place.querySelector("script").textContent), letter => letter.charCodeAt(0));
  const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const {controls, figures, errors, picks} = JSON.parse(text);
  const plots = place.querySelectorAll("figure.explored > div");
  const message = place.querySelector("[role=alert]");
  const panel = place.querySelector(".controls");
  let waiting = false;

  function draw() {
    waiting = false;
    const frame = controls.reduce((number, control) => number * control.values.length + control.place, 0);
    message.textContent = errors[frame] ? `Not drawn. ${errors[frame]}` : "";
    if (errors[frame]) return;
    figures.forEach((figure, k) => {
      const fresh = figure.paths.reduce(
        (drawn, path, p) => replace(drawn, path, figure.tables[p][figure.index[p][frame]]), figure.base);
      Plotly.react(plots[k], fresh.data, fit(structuredClone(fresh.layout), plots[k]), SETTINGS);  // both write into a layout
    });
  }

  // many moves between two pictures of the screen are drawn once, with the last value
  function move(control, value) {
    control.place = value;
    control.show();
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  }

  controls.forEach((control, k) => {
    control.place = control.start;
    panel.append(makeControl(control, `${place.id}-${k}`, value => move(control, value)));
    control.show();
  });
  draw();
  if (plots.length && Object.keys(picks).length) plots[0].on("plotly_click", ({points}) => {
    for (const [axis, k] of Object.entries(picks)) {
      const hit = controls[k].values.findIndex(value => value == points[0][axis]);
      if (hit >= 0) move(controls[k], hit);
    }
  });
}

// a copy with another value at a path; what is not on the path is shared, so that plotly redraws only what changed
function replace(target, [step, ...rest], value) {
  const copy = Array.isArray(target) ? [...target] : {...target};
  copy[step] = rest.length ? replace(copy[step] ?? {}, rest, value) : value;
  return copy;
}

// native inputs: every browser gives them keyboard, touch and a voice
function makeControl(control, id, move) {
  const row = make("div", {className: "control"});
  const label = make("label", {htmlFor: id, textContent: control.label});
  const last = control.values.length - 1;
  let input;
  if (control.kind === "select") {
    input = make("select", {id});
    control.texts.forEach((text, k) => input.append(make("option", {value: k, textContent: text})));
    input.addEventListener("input", () => move(Number(input.value)));
  } else if (control.kind === "check") {
    input = make("input", {id, type: "checkbox"});
    input.addEventListener("input", () => move(Number(input.checked)));
  } else {
    input = make("input", {id, type: "range", min: 0, max: last, step: 1});
    input.addEventListener("input", () => move(Number(input.value)));
  }
  const output = make("output", {htmlFor: id});
  control.show = () => {
    const text = control.texts[control.place];
    if (control.kind === "check") input.checked = control.place === 1;
    else input.value = control.place;
    if (control.kind === "select") return;
    output.textContent = text;
    if (control.kind !== "check") input.setAttribute("aria-valuetext", text);
  };
  row.append(label, input, output);
  if (control.kind === "play") row.append(makePlayer(control, last, move));
  return row;
}

function makePlayer(control, last, move) {
  const button = make("button", {type: "button", textContent: "Play"});
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (control.place === last) move(0);
    button.textContent = "Stop";
    timer = setInterval(() => control.place < last ? move(control.place + 1) : stop(), control.interval);
  });
  return button;
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

// the part of a Jupyter widget's model that a page without a kernel needs
function makeModel(state) {
  const listeners = {};
  return {
    get: name => state[name],
    set: (name, value) => { state[name] = value; (listeners[`change:${name}`] ?? []).forEach(call => call()); },
    save_changes: () => {},
    on: (event, call) => { (listeners[event] ??= []).push(call); },
    off: event => { delete listeners[event]; },
  };
}
