// A confusion matrix whose counts can be dragged along a row, and five metrics that follow.
// Every text goes through textContent, so that a class name is never markup.
const sum = values => values.reduce((total, value) => total + value, 0);
const mean = values => sum(values) / values.length;  // of nothing: NaN, which is shown as "undefined"
const say3 = value => Number.isNaN(value) ? "undefined" : (Math.round(value * 1000) / 1000 + 0).toFixed(3);
const images = count => `${count} image${count === 1 ? "" : "s"}`;

// as bmix_lite/metrics.py defines them; rows are true classes, columns predicted
export function score(matrix) {
  const classes = [...matrix.keys()];
  const rows = matrix.map(sum), columns = classes.map(j => sum(matrix.map(row => row[j])));
  const total = sum(rows), hits = classes.map(j => matrix[j][j]), right = sum(hits);
  const same = classes.some(j => rows[j] === total && columns[j] === total);  // all is one class: 0/0
  const spread = counts => Math.sqrt(total ** 2 - sum(counts.map(count => count ** 2)));
  const together = right * total - sum(classes.map(j => rows[j] * columns[j]));
  const weigh = count => sum(classes.map(i => sum(classes.map(j => (i - j) ** 2 * count(i, j)))));
  return {
    "accuracy": right / total,
    "balanced accuracy": mean(classes.filter(j => rows[j]).map(j => hits[j] / rows[j])),
    "macro-F1": mean(classes.filter(j => rows[j] + columns[j]).map(j => 2 * hits[j] / (rows[j] + columns[j]))),
    "MCC": same ? NaN : together / (spread(rows) * spread(columns)) || 0,  // 0 where one side is constant
    "kappa, quadratic": same ? NaN
      : 1 - total * weigh((i, j) => matrix[i][j]) / weigh((i, j) => rows[i] * columns[j]),
  };
}

function add(parent, tag, className, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

// JupyterLab takes arrows and Enter for itself unless the focused element carries this
const OURS = {"data-lm-suppress-shortcuts": "true"};
const WALK = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};

function render({model, el}) {
  const names = model.get("class_names").map(name => name.trim() ? name : "(no name)"), start = model.get("start");
  const card = add(el, "div", "bmix-confusion");
  add(card, "div", "title", "Drag images along a row: which metric notices?");
  const controls = add(card, "div", "controls");
  const step = add(add(controls, "label", "", "Images per move "), "select", "step", "", OURS);
  for (const text of ["1", "10", "half", "all"]) add(step, "option", "", text, {value: text});
  const again = add(controls, "button", "again", "Start again", {type: "button", ...OURS});
  const parts = add(card, "div", "parts");
  const [grid, cells, fill] = makeGrid(parts, names, start);
  const show = makeBars(parts, score(start));
  const line = add(card, "div", "message", "", {role: "status", "aria-live": "polite"});
  add(card, "div", "help", "Mouse: drag a count, or click it and then click where it goes. Keyboard: arrows walk, " +
    "Shift + left or right arrow moves images, Enter picks up and drops, Escape puts back.");
  const chip = add(card, "div", "chip", "", {"aria-hidden": "true"});
  let held = null, dragging = false, focused = cells[0][0];

  const say = (text, refused = false) => { line.textContent = text; line.classList.toggle("refused", refused); };
  const refuseRow = row => say(`Refused: the true class of an image stays. Keep to the row of '${names[row]}'.`, true);

  function amount(cell) {
    const there = model.get("matrix")[cell.row][cell.column];
    if (!there) say(`There is no image of '${names[cell.row]}' predicted '${names[cell.column]}'.`, true);
    return {all: there, half: Math.ceil(there / 2)}[step.value] ?? Math.min(Number(step.value), there);
  }

  function mark(cell) {
    for (const other of cells.flat()) other.classList.remove("target", "refused");
    if (held && cell && cell !== held) cell.classList.add(cell.row === held.row ? "target" : "refused");
  }

  function focus(cell) {
    focused.tabIndex = -1;
    focused = cell;
    cell.tabIndex = 0;
    cell.focus();
    mark(cell);
  }

  const write = matrix => { model.set("matrix", matrix); model.save_changes(); };

  function move(from, to) {
    const count = amount(from), matrix = model.get("matrix").map(counts => [...counts]);
    if (!count) return;
    matrix[from.row][from.column] -= count;
    matrix[from.row][to.column] += count;
    write(matrix);
    say(`${images(count)} of '${names[from.row]}' from predicted '${names[from.column]}' to '${names[to.column]}'`);
  }

  function hold(cell) {
    held = cell;
    dragging = false;
    chip.hidden = true;
    card.classList.toggle("holding", Boolean(held));
    for (const other of cells.flat()) {
      other.classList.toggle("held", other === held);
      other.classList.toggle("open", other.row === held?.row);
    }
    mark(null);
  }

  function pick(cell) {
    const count = amount(cell);
    if (!count) return;
    hold(cell);
    chip.textContent = images(count);
    say(`Holding ${images(count)} of '${names[cell.row]}': drop in another cell of this row.`);
  }

  function drop(cell) {
    const from = held;
    if (cell && cell.row !== from.row) {  // a drag ends here; what Enter or a click picked up stays picked up
      if (dragging) hold(null);
      cell.classList.add("refused");
      return refuseRow(from.row);
    }
    hold(null);
    if (cell && cell !== from) move(from, cell);
    else say("Put back: nothing moved.");
  }

  const find = element => grid.contains(element) ? element.closest(".cell") : null;
  const under = event => find(grid.getRootNode().elementFromPoint(event.clientX, event.clientY));

  grid.addEventListener("pointerdown", event => {
    const cell = find(event.target), holding = held;
    if (!cell || event.button) return;
    event.preventDefault();
    focus(cell);
    if (holding) return drop(cell);
    pick(cell);
    dragging = Boolean(held);
    if (dragging) grid.setPointerCapture(event.pointerId);
  });
  grid.addEventListener("pointermove", event => {
    if (!held) return;
    const box = card.getBoundingClientRect(), over = under(event);
    chip.hidden = false;
    chip.style.translate = `${event.clientX - box.left + 12}px ${event.clientY - box.top + 12}px`;
    chip.classList.toggle("refused", over?.row !== held.row);
    mark(over);
  });
  grid.addEventListener("pointerup", event => {
    if (dragging && under(event) === held) dragging = false;  // a click: held until the next one
    else if (dragging) drop(under(event));
  });
  grid.addEventListener("pointercancel", () => hold(null));
  grid.addEventListener("pointerleave", () => { chip.hidden = true; });

  grid.addEventListener("keydown", event => {
    const cell = find(event.target), way = WALK[event.key];
    const known = way || ["Enter", "Escape"].includes(event.key);
    if (!cell || !known || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") return held ? drop(cell) : pick(cell);
    if (event.key === "Escape") return held && drop(null);
    const next = cells[cell.row + way[0]]?.[cell.column + way[1]];
    if (!event.shiftKey) return next && focus(next);
    hold(null);
    if (way[0]) return refuseRow(cell.row);
    if (!next) return say("There is no class on that side.", true);
    if (amount(cell)) focus(next), move(cell, next);
  });

  again.addEventListener("click", () => { hold(null); write(start); say("As it was at the start."); });

  const draw = () => { fill(model.get("matrix")); show(score(model.get("matrix"))); };
  model.on("change:matrix", draw);
  hold(null);
  draw();
  return () => model.off("change:matrix", draw);
}

function makeGrid(place, names, start) {
  const label = "Confusion matrix: rows are true classes, columns predicted";
  const size = names.length > 14 ? "grid many crowded" : names.length > 6 ? "grid many" : "grid";
  const grid = add(place, "div", size, "", {role: "grid", "aria-label": label});
  grid.style.setProperty("--classes", names.length);
  grid.style.setProperty("--digits", String(Math.max(...start.map(sum))).length);  // no count exceeds its row
  const head = add(grid, "div", "row", "", {role: "row"});
  add(head, "div", "corner", "true ↓ predicted →", {role: "columnheader"});
  for (const name of names) add(head, "div", "column", name, {role: "columnheader", title: name});
  const cells = names.map((name, row) => {
    const line = add(grid, "div", "row", "", {role: "row"}), header = add(line, "div", "name", "", {role: "rowheader"});
    header.title = `${name}, n=${sum(start[row])}`;
    add(header, "span", "", name);
    add(header, "small", "", `n=${sum(start[row])}`);
    return names.map((_, column) => {
      const cell = add(line, "div", row === column ? "cell right" : "cell", "", {role: "gridcell", ...OURS});
      return Object.assign(cell, {row, column, tabIndex: row + column ? -1 : 0});
    });
  });
  const fill = matrix => cells.flat().forEach(cell => {
    const count = matrix[cell.row][cell.column];
    cell.textContent = count;
    cell.classList.toggle("empty", !count);
    cell.style.setProperty("--share", count / (sum(matrix[cell.row]) || 1));
    const where = `true '${names[cell.row]}', predicted '${names[cell.column]}'`;
    cell.setAttribute("aria-label", `${where}: ${images(count)}`);
  });
  return [grid, cells, fill];
}

function makeBars(place, began) {
  const bars = add(place, "div", "bars");
  const rows = Object.keys(began).map(name => {
    const row = add(bars, "div", "metric", "", {role: "img"});
    add(row, "span", "", name);
    const track = add(row, "span", "track");
    return {name, row, bar: add(track, "span", "bar"), tick: add(track, "span", "tick"), now: add(row, "span", "now")};
  });
  const scale = add(add(bars, "div", "metric axis", "", {"aria-hidden": "true"}), "span", "scale");
  add(bars, "div", "help", "The black tick marks the start.");
  return values => {
    const low = [...Object.values(values), ...Object.values(began)].some(value => value < 0) ? -1 : 0;
    const at = value => `${100 * (value - low) / (1 - low)}%`;
    for (const {name, row, bar, tick, now} of rows) {
      const value = values[name];
      bar.hidden = Number.isNaN(value);
      bar.classList.toggle("negative", value < 0);
      bar.style.left = at(Math.min(value, 0));
      bar.style.right = `calc(100% - ${at(Math.max(value, 0))})`;
      tick.hidden = Number.isNaN(began[name]);
      tick.style.left = at(began[name]);
      now.textContent = say3(value);
      row.setAttribute("aria-label", `${name} ${say3(value)}, at the start ${say3(began[name])}`);
    }
    scale.replaceChildren();
    for (const value of low ? [-1, 0, 1] : [0, 0.5, 1]) add(scale, "span", "", value).style.left = at(value);
  };
}

export default { render };
