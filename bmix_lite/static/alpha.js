// Three views of one alpha as SVG. The numbers come from Python; moving the slider only moves shapes.
const NS = "http://www.w3.org/2000/svg";

function put(parent, tag, attributes = {}, text) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// a panel with a title and horizontal lines at `ticks`; returns its scales
function makePanel(svg, {x, y, width, height, top, ticks, title}) {
  const scale = {x: share => x + share * width, y: value => y + height * (1 - Math.min(value, top) / top), width, foot: y + height};
  put(svg, "text", {x: x + width / 2, y: y - 14, "text-anchor": "middle", class: "title"}, title);
  for (const tick of ticks) {
    put(svg, "line", {x1: x, x2: x + width, y1: scale.y(tick), y2: scale.y(tick), class: tick ? "line" : "axis"});
    put(svg, "text", {x: x - 6, y: scale.y(tick) + 4, "text-anchor": "end"}, String(tick));
  }
  return scale;
}

function makeTicks(top) {
  const step = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].find(size => top / size <= 5) ?? top / 4;
  return Array.from({length: Math.floor(top / step) + 1}, (_, k) => Number((k * step).toFixed(2)));
}

function makeHatch(defs, id, colour) {
  const hatch = put(defs, "pattern", {id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"});
  put(hatch, "rect", {width: 7, height: 7, fill: colour});
  put(hatch, "line", {x1: 0, x2: 0, y1: 0, y2: 7, stroke: "white", "stroke-width": 2});
  return `url(#${id})`;
}

export default {
  render({model, el}) {
    const [alphas, views, fixed] = ["alphas", "views", "fixed"].map(name => model.get(name));
    const {names, counts, lams, data, colours, densest} = fixed;
    const id = `alpha-${Math.random().toString(36).slice(2)}`;
    const many = names.length > 12;
    const longest = many ? 14 : 9;
    const shorten = name => name.length > longest ? `${name.slice(0, longest - 1)}\u2026` : name;
    const narrow = window.innerWidth < 600;  // on a phone the three views stand below each other, to be read
    const slanted = many || narrow;
    const reach = narrow ? 480 : 960;
    el.classList.add("bmix-alpha");

    const label = el.appendChild(Object.assign(document.createElement("label"), {htmlFor: id, textContent: "alpha"}));
    const slider = Object.assign(document.createElement("input"), {id, type: "range", min: 0, max: alphas.length - 1, step: 1});
    slider.dataset.lmSuppressShortcuts = "true";  // else JupyterLab takes the arrow keys
    const output = Object.assign(document.createElement("output"), {htmlFor: id});
    label.after(slider, output);

    const svg = put(el, "svg", {role: "img"});
    const defs = put(svg, "defs");
    const fills = {balanced: makeHatch(defs, `${id}-b`, colours.vermillion), after: makeHatch(defs, `${id}-a`, colours.green)};
    const heaviest = Math.max(...views.flatMap(view => view.base.map((base, k) => base + view.balanced[k]))) * 1.05;
    const largest = Math.max(...data, ...views.flatMap(view => [...view.shares, ...(view.drawn ?? [])])) * 1.1;

    const left = makePanel(svg, {x: 50, y: 50, width: narrow ? 410 : 390, height: 190, top: densest, ticks: makeTicks(densest), title: "weight lam of the balanced batch: density"});
    for (const tick of [0, 0.2, 0.4, 0.6, 0.8, 1]) put(svg, "text", {x: left.x(tick), y: left.foot + 18, "text-anchor": "middle"}, String(tick));
    const area = put(svg, "path", {fill: colours.blue, "fill-opacity": 0.15});
    const curve = put(svg, "path", {fill: "none", stroke: colours.blue, "stroke-width": 2.5});
    const marks = ["mean", "median"].map((name, k) => ({
      name, y: 74 + 26 * k,
      line: put(svg, "line", {y1: 50, y2: left.foot, stroke: k ? colours.green : colours.vermillion, "stroke-width": 3, "stroke-dasharray": k ? "3 3" : "10 6"}),
      text: put(svg, "text", {class: "mark"}),
    }));

    const right = makePanel(svg, {x: narrow ? 50 : 520, y: narrow ? 310 : 50, width: narrow ? 410 : 420, height: 190, top: heaviest, ticks: makeTicks(heaviest), title: "weight of one image in an epoch"});
    const below = makePanel(svg, {x: 50, y: narrow ? 570 : 310, width: reach - 70, height: 170, top: largest, ticks: makeTicks(largest), title: "share of label mass per class"});
    const foot = below.foot + (slanted ? 105 : 65) + (narrow ? 25 : 0);
    svg.setAttribute("viewBox", `0 0 ${reach} ${foot + (narrow ? 60 : 10)}`);
    const step = {right: right.width / names.length, below: below.width / names.length};
    const classes = names.map((name, k) => {
      const at = {right: right.x(k / names.length), below: below.x(k / names.length)};
      if (!many || k % 3 === 0) put(svg, "text", {x: at.right + step.right / 2, y: right.foot + 18, "text-anchor": "middle", class: "small"}, `n=${counts[k]}`);
      const label = put(svg, "text", {x: at.below + step.below / 2, y: below.foot + (slanted ? 14 : 18), "text-anchor": slanted ? "end" : "middle", class: "small"}, shorten(name));
      if (slanted) label.setAttribute("transform", `rotate(-45 ${at.below + step.below / 2} ${below.foot + 14})`);
      put(label, "title", {}, `${name}, n=${counts[k]}`);
      const bar = (x, width, fill) => put(svg, "rect", {x, width, fill});
      const shares = [0.12, 0.5].map(from => at.below + from * step.below);
      const before = bar(shares[0], step.below * 0.36, colours.grey);
      before.setAttribute("y", below.y(data[k]));
      before.setAttribute("height", below.y(0) - below.y(data[k]));
      return {
        base: bar(at.right + step.right * 0.15, step.right * 0.7, colours.blue),
        balanced: bar(at.right + step.right * 0.15, step.right * 0.7, fills.balanced),
        after: bar(shares[1], step.below * 0.36, fills.after),
        cross: put(svg, "path", {stroke: colours.black, "stroke-width": 2}),
        middle: shares[1] + step.below * 0.18,
      };
    });
    const even = below.y(1 / names.length);
    put(svg, "line", {x1: 50, x2: reach - 20, y1: even, y2: even, stroke: colours.black, "stroke-dasharray": "8 5"});
    const legend = [["base stream", colours.blue], ["balanced stream", fills.balanced], ["the data", colours.grey], ["after mixing", fills.after]];
    legend.forEach(([text, fill], k) => {
      const x = 50 + (narrow ? 210 * (k % 2) : 150 * k), y = foot + (narrow ? 24 * Math.floor(k / 2) : 0);
      put(svg, "rect", {x, y: y - 12, width: 14, height: 14, fill});
      put(svg, "text", {x: x + 20, y}, text);
    });
    put(svg, "text", {x: narrow ? 50 : 650, y: foot + (narrow ? 48 : 0)}, views[0].drawn ? "\u00d7 drawn    - - all classes equal" : "- - all classes equal");

    function span(node, scale, low, high) {
      node.setAttribute("y", scale.y(high));
      node.setAttribute("height", scale.y(low) - scale.y(high));
    }

    function draw(place) {
      const view = views[place];
      const points = lams.map((lam, k) => `${left.x(lam).toFixed(1)},${left.y(view.density[k]).toFixed(1)}`);
      curve.setAttribute("d", `M${points.join(" L")}`);
      area.setAttribute("d", `M${left.x(lams[0])},${left.foot} L${points.join(" L")} L${left.x(1)},${left.foot} Z`);
      for (const {name, y, line, text} of marks) {
        line.setAttribute("x1", left.x(view[name]));
        line.setAttribute("x2", left.x(view[name]));
        text.setAttribute("x", left.x(view[name]) + 6);
        text.setAttribute("y", y);
        text.textContent = `${name} ${view[name] < 0.001 ? view[name].toExponential(1) : view[name].toFixed(3)}`;
      }
      classes.forEach((shape, k) => {
        span(shape.base, right, 0, view.base[k]);
        span(shape.balanced, right, view.base[k], view.base[k] + view.balanced[k]);
        span(shape.after, below, 0, view.shares[k]);
        if (!view.drawn) return;
        const [x, y] = [shape.middle, below.y(view.drawn[k])];
        shape.cross.setAttribute("d", `M${x - 5},${y - 5} l10,10 m-10,0 l10,-10`);
      });
      const rarest = counts.indexOf(Math.min(...counts));
      const words = `alpha ${alphas[place]}: mean weight ${view.mean}, median ${view.median}; share of ${names[rarest]} ${data[rarest]} in the data, ${view.shares[rarest]} after mixing`;
      output.textContent = alphas[place];
      slider.setAttribute("aria-valuetext", words);
      svg.setAttribute("aria-label", words);
    }

    slider.addEventListener("input", () => {
      draw(Number(slider.value));
      model.set("alpha", alphas[slider.value]);
      model.save_changes();
    });
    function follow() {  // alpha set from Python: the nearest step is shown
      const distances = alphas.map(alpha => Math.abs(alpha - model.get("alpha")));
      slider.value = distances.indexOf(Math.min(...distances));
      draw(Number(slider.value));
    }
    model.on("change:alpha", follow);
    follow();
    return () => model.off("change:alpha", follow);
  },
};
