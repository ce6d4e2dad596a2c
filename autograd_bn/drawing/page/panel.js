// The details of a node or a scope at the step that is shown. Text is only ever set as text.

const MOST = 100;
const panel = document.getElementById("panel");

function tag(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content.filter((part) => part !== null && part !== undefined));
  return element;
}
const row = (term, ...content) => tag("div", {}, tag("dt", {}, term), tag("dd", {}, ...content));

function number(value) {
  if (typeof value !== "number") return String(value).replace("-", "−");
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value).replace("-", "−");
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(5)));
  return text.replaceAll("-", "−");
}

// A small array as a table of numbers, a large one as statistics and a histogram.
function arrayBlock(index, kind) {
  if (index === null) return tag("p", { class: `none ${kind}` }, "—");
  const array = arrays[index], block = tag("div", { class: `array ${kind}` });
  if (array.elements) block.append(elementTable(array));
  if ("norm" in array && array.elements?.length !== 1) {
    const facts = [["min", array.min], ["max", array.max], ["mean", array.mean], ["std", array.std], ["‖·‖", array.norm]];
    for (const [name, count] of [["zeros", array.zeros], ["NaN", array.nan], ["inf", array.inf]]) if (count) facts.push([name, count]);
    block.append(tag("dl", { class: "facts" }, ...facts.map(([name, value]) => tag("div", { class: name === "NaN" || name === "inf" ? "bad" : "" }, tag("dt", {}, name), tag("dd", {}, number(value))))));
  } else if (array.nan || array.inf) block.append(tag("p", { class: "bad" }, array.text));
  if (array.histogram?.length > 1 && !(array.elements?.length <= 6)) block.append(histogram(array));
  if (!array.elements && !("norm" in array)) block.append(tag("p", {}, array.text));
  return block;
}

function elementTable(array) {
  const columns = array.shape.length ? array.shape.at(-1) || 1 : 1;
  const table = tag("table", { class: "elements" });
  const most = Math.max(...array.elements.map((value) => (typeof value === "number" ? Math.abs(value) : 0)), 1e-300);
  for (let i = 0; i < array.elements.length; i += columns) {
    const line = tag("tr");
    for (const value of array.elements.slice(i, i + columns)) {
      const cell = tag("td", { "data-value": String(value) }, number(value));
      if (typeof value === "number") cell.style.setProperty("--heat", (Math.abs(value) / most).toFixed(3));
      line.append(cell);
    }
    table.append(line);
  }
  return tag("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "elements" }, table);
}

function histogram(array) {
  const counts = array.histogram, most = Math.max(...counts), w = 10, h = 56;
  const svg = make("svg", { viewBox: `0 0 ${counts.length * w} ${h}`, class: "histogram", role: "img", "aria-label": `histogram from ${number(array.min)} to ${number(array.max)}, ${counts.join(" ")}`, preserveAspectRatio: "none" });
  counts.forEach((count, i) => {
    const high = count ? Math.max(1.5, (count / most) * h) : 0;
    svg.append(make("rect", { x: i * w + 1, y: (h - high).toFixed(1), width: w - 2, height: high.toFixed(1), rx: 1 }));
  });
  if (array.min < 0 && array.max > 0) {
    const zero = (-array.min / (array.max - array.min)) * counts.length * w;
    svg.append(make("line", { x1: zero.toFixed(1), x2: zero.toFixed(1), y1: 0, y2: h }));
  }
  return tag("figure", {}, svg, tag("figcaption", {}, tag("span", {}, number(array.min)), tag("span", {}, number(array.max))));
}

// A button that goes to another node.
function link(id, text) {
  const button = tag("button", { type: "button", class: "link" }, short(text ?? nodes[id].called, 40));
  button.addEventListener("click", () => select(`n${id}`, { move: true }));
  return button;
}

const placeOf = (index) => {
  if (index === null) return null;
  const line = data.lines[index];
  return [tag("span", { class: "muted" }, `${line.file}:${line.number} in ${line.function}`), line.text ? tag("code", { class: "source" }, line.text) : null];
};

function heading(symbol, name, kind) {
  const close = tag("button", { type: "button", class: "close", "aria-label": "Close details" }, "×");
  close.addEventListener("click", () => select(null));
  return tag("header", {}, tag("h2", {}, tag("span", { class: "symbol" }, symbol), name ? tag("i", {}, name) : null), tag("span", { class: `kind ${kind}` }, kind), close);
}

function nodePanel(node, time) {
  const facts = tag("dl", { class: "about" });
  if (node.operation) facts.append(row("operation", node.operation + (node.static ? ` (${node.static})` : "")));
  facts.append(row("shape", node.shape === null ? "not known" : `(${node.shape.join(", ")}${node.shape.length === 1 ? "," : ""})`), row("dtype", node.dtype ?? "not known"));
  const scopes = pathOf(node.cluster).filter((id) => !clusters[id].group).map((id) => clusterTitle(clusters[id]));
  if (scopes.length) facts.append(row("scope", scopes.join(" / ")));
  if (node.line !== null) facts.append(row("line", ...placeOf(node.line)));
  if (node.cut) facts.append(row("cut by", node.cut));
  const content = [heading(node.symbol, node.kind === "operation" ? node.name : null, node.kind), facts];
  const forward = tag("section", { class: "forward" }, tag("h3", {}, "Value"));
  if (node.formula) forward.append(tag("p", { class: "formula" }, `${node.called} = ${node.formula}`));
  if (incoming[node.id].length) forward.append(tag("p", { class: "links" }, "from ", ...incoming[node.id].slice(0, MOST).map((edge) => link(edge.source))));
  forward.append(arrayBlock(valueKnown(node.id, time) ? node.value : null, "value"));
  content.push(forward);
  if (node.kind !== "constant") content.push(gradientSection(node, time));
  panel.replaceChildren(...content);
}

function ruleText(edge) {
  const formula = edge.summed && /[+−]/.test(edge.formula.slice(1)) ? `(${edge.formula})` : edge.formula;
  return `${edge.d} = ${edge.summed ? "Σ " : ""}${formula}`;
}
// A wire is called by the edges that it stands for: of a scope's border, all of them.
const wireOf = (key) => ({ cluster: null, ...drawn.wires.find(({ wire }) => wireKey(wire) === key)?.wire, edges: key.slice(1).split("-").map((id) => edges[Number(id)]) });
const wireKey = (wire) => `w${wire.edges.map((edge) => edge.id).join("-")}`;

function gradientSection(node, time) {
  const { terms, array, whole, missing } = gathered(node.id, time);
  const section = tag("section", { class: "gradient" }, tag("h3", {}, "Gradient"));
  section.append(tag("p", { class: "formula" }, `${node.d} = ${terms.length ? sumOf(terms) : "—"}${terms.length && missing ? " + …" : ""}`));
  if (terms.length && !whole && array !== null) section.append(tag("p", { class: "muted" }, `so far; ${missing} to come`));
  section.append(arrayBlock(array, "gradient"));
  const parts = outgoing[node.id].filter((edge) => edge.d !== null);
  if (parts.length) {
    const list = tag("ul", { class: "terms" });
    for (const edge of parts.slice(0, MOST)) {
      const known = edge.cotangent !== null && backwardStep[edge.target] <= time;
      const name = tag("button", { type: "button", class: "link back" }, short(edge.d, 30));
      name.addEventListener("click", () => select(`w${edge.id}`));
      list.append(tag("li", { class: known ? "" : "unsent" }, name, edge.formula ? ruleText(edge).slice(edge.d.length) : "", " from ", link(edge.target),
        tag("span", { class: "muted" }, `${edge.summed ? `${edge.summed}, ` : ""}${known ? arrays[edge.cotangent].text : "—"}`)));
    }
    if (parts.length > MOST) list.append(tag("li", { class: "muted" }, `and ${parts.length - MOST} more`));
    section.append(tag("h4", {}, parts.length > 1 ? "What comes together here" : "Where it comes from"), list);
  }
  return section;
}

// What goes over a wire, both ways.
function wirePanel(wire, time) {
  const source = nodes[wire.edges[0].source], targets = [...new Set(wire.edges.map((edge) => edge.target))];
  const content = [heading("→", wireTitle(wire), "wire")];
  content.push(tag("p", { class: "links" }, "from ", link(source.id), " to ", ...targets.slice(0, MOST).map((id) => link(id, `${nodes[id].symbol} ${nodes[id].called}`))));
  content.push(tag("section", { class: "forward" }, tag("h3", {}, "Value"), arrayBlock(valueKnown(source.id, time) ? source.value : null, "value")));
  if (source.kind !== "constant") {
    const flow = flowOf(wire, time), section = tag("section", { class: "gradient" }, tag("h3", {}, "Gradient that comes back"));
    if (flow.terms.length > 1) section.append(tag("p", { class: "formula" }, sumOf(flow.terms)));
    for (const edge of wire.edges.slice(0, MOST)) if (edge.formula) section.append(tag("p", { class: "formula" }, ruleText(edge)));
    for (const edge of wire.edges) if (edge.summed) section.append(tag("p", { class: "muted" }, edge.summed));
    section.append(arrayBlock(flow.array, "gradient"));
    content.push(section);
  }
  panel.replaceChildren(...content);
}

function clusterPanel(cluster, time) {
  const ids = members.get(cluster.id), operations = ids.filter((id) => nodes[id].kind === "operation");
  const toggle = tag("button", { type: "button", class: "wide" }, open.has(cluster.id) ? "Close the scope" : "Open the scope");
  toggle.addEventListener("click", () => toggleCluster(cluster.id));
  const used = new Map();
  for (const id of operations) used.set(nodes[id].operation, (used.get(nodes[id].operation) ?? 0) + 1);
  const facts = tag("dl", { class: "about" }, row("nodes", `${ids.length}, of which ${operations.length} operation${operations.length === 1 ? "" : "s"}`));
  if (used.size) facts.append(row("made of", [...used].map(([name, count]) => (count === 1 ? name : `${name} ×${count}`)).join(", ")));
  if (cluster.line !== null) facts.append(row("line", ...placeOf(cluster.line)));
  const norms = operations.filter((id) => gradientWhole(id, time) && "norm" in arrays[nodes[id].gradient]).map((id) => [arrays[nodes[id].gradient].norm, id]).sort((a, b) => a[0] - b[0]);
  if (norms.length) facts.append(row("least ‖gradient‖", `${number(norms[0][0])} at `, link(norms[0][1])), row("greatest", `${number(norms.at(-1)[0])} at `, link(norms.at(-1)[1])));
  panel.replaceChildren(heading(clusterTitle(cluster), null, cluster.group ? "group" : "scope"), facts, toggle);
}

function showPanel(key, time) {
  const focused = panel.contains(document.activeElement);  // whoever is in the panel with the keyboard stays there, or goes back to the card
  panel.hidden = key === null;
  document.body.classList.toggle("detailed", key !== null);
  if (key === null) {
    panel.replaceChildren();
    if (focused) (drawn.boxes.get(panel.dataset.shown)?.group ?? canvas).focus({ preventScroll: true });
    return;
  }
  const id = key[0] === "w" ? null : Number(key.slice(1)), top = panel.dataset.shown === key ? panel.scrollTop : 0;
  if (key[0] === "w") wirePanel(wireOf(key), time);
  else if (key[0] === "c") clusterPanel(clusters[id], time);
  else nodePanel(nodes[id], time);
  panel.dataset.shown = key;
  if (focused) panel.focus({ preventScroll: true });
  panel.scrollTop = top;
}
