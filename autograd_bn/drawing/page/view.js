// The drawing: SVG elements made once a scene, then only their classes and texts change; moving and zooming.

const SVG = "http://www.w3.org/2000/svg";
const canvas = document.getElementById("canvas");
const FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif";
const still = matchMedia("(prefers-reduced-motion: reduce)");

function make(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const pen = document.createElement("canvas").getContext("2d");
const widths = new Map();
function widthOf(text, font) {
  const key = font + text;
  if (!widths.has(key)) {
    pen.font = font;
    widths.set(key, pen.measureText(text).width);
  }
  return widths.get(key);
}
const printable = (text) => text.replace(/[\u0000-\u001f\u007f]+/g, " ");
function short(text, most) {
  const line = printable(text.length > 400 ? text.slice(0, 400) : text);
  const letters = [...line];
  return letters.length > most || text.length > 400 ? `${letters.slice(0, most - 1).join("")}…` : line;
}

// ---- what a card says

const shapeText = (part) => (part.shape === null ? "" : `(${part.shape.join(", ")}${part.shape.length === 1 ? "," : ""})${part.dtype && part.dtype !== "float64" ? ` ${part.dtype}` : ""}`);
// Few elements as they are, of many the norm alone.
const arrayText = (array) => (array === null ? "—" : short(arrays[array].text.replace(/, mean .*$/, ""), 24));
const clusterTitle = (cluster) => cluster.name || "scope";

const amountText = (name, text) => (text === "—" ? `${name} —` : text.startsWith("‖·‖") ? text.replace("·", () => name) : `${name} = ${text}`);
function gradientRows(id, time) {
  const { terms, array, missing, whole } = gathered(id, time), several = expected[id] + (nodes[id].seeded ? 1 : 0) > 1;
  const text = arrayText(array), own = short(nodes[id].d, 20);
  if (several && !whole) return [short(`${own} = ${sumOf([...terms, ...(missing || !terms.length ? ["…"] : [])])}`, 30), text === "—" ? "—" : `so far ${text}`];
  return [several ? short(`${own} = ${sumOf(terms)}`, 30) : "", amountText(own, text)];
}

// The gradient of a closed scope's result, once it is there.
const resultOf = (part) => members.get(part.id).findLast((id) => backwardStep[id] < Infinity && nodes[id].kind === "operation");
const resultText = (id) => amountText(short(nodes[id].d, 12), arrayText(nodes[id].gradient));

const BIG = `17px ${FONT}`, NAME = `italic 13px ${FONT}`, SMALL = `11px ${FONT}`, BOLD = `700 11px ${FONT}`, MOST_FLOW = 78;
function sizeOf(part) {
  if (isCluster(part)) {
    const result = resultOf(part), starts = members.get(part.id).some((id) => nodes[id].starts.length);
    const rows = [result === undefined ? "" : resultText(result), starts ? "NaN or ∞ starts here" : ""].map((row) => widthOf(row, starts ? BOLD : SMALL));
    return { w: Math.max(120, Math.min(260, Math.max(widthOf(short(clusterTitle(part), 24), `600 13px ${FONT}`) + 48, ...rows.map((row) => row + 28)))), h: starts ? 78 : 62 };
  }
  const rows = [shapeText(part)];
  if (data.recorded.values) rows.push(arrayText(part.value));
  if (data.recorded.gradients && part.kind !== "constant") rows.push(...gradientRows(part.id, Infinity));
  if (part.cut) rows.push(short(`cut by ${part.cut}`, 30));
  const starts = startsAt(part.id, Infinity).join("; ");
  const head = widthOf(short(part.symbol, 18), BIG) + (part.kind === "operation" && part.name ? 8 + widthOf(short(part.name, 18), NAME) : 0);
  const w = Math.max(64, head, widthOf(starts, BOLD), ...rows.map((row) => widthOf(row, SMALL))) + 24;
  return { w: Math.min(330, w), h: 34 + 15 * [...rows, starts].filter((row) => row !== "").length };
}

// ---- the scene as elements

const drawn = { boxes: new Map(), wires: [], scene: null };
const world = make("g", { class: "world" });
const layers = ["scopes", "lines", "cards", "labels"].map((name) => make("g", { class: name }));
for (const [id, kind] of [["tip", "black"], ["tipred", "red"], ["tiplit", "lit"], ["tiplitred", "litred"]]) {
  const marker = make("marker", { id, class: `tip ${kind}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 7.5, markerHeight: 7.5, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" });
  marker.append(make("path", { d: "M0,1 L10,5 L0,9 L2,5 z" }));
  canvas.append(marker);
}
world.append(...layers);
canvas.append(world);

function pathText(points, turned, shift) {
  const at = (point) => (turned ? `${(point.cross + shift).toFixed(1)},${point.main.toFixed(1)}` : `${point.main.toFixed(1)},${(point.cross + shift).toFixed(1)}`);
  let text = `M${at(points[0])}`;
  for (let i = 1; i < points.length; i++) {
    const a = points[i - 1], b = points[i];
    if (i % 2 === 1 || Math.abs(a.cross - b.cross) < 0.5) text += `L${at(b)}`;
    else {
      const middle = (a.main + b.main) / 2;
      text += `C${at({ main: middle, cross: a.cross })} ${at({ main: middle, cross: b.cross })} ${at(b)}`;
    }
  }
  return text;
}

// A wire that goes on from a border, or to one: its tips and its label are at the part that it begins or ends at.
const isOpened = (key) => key[0] === "c" && open.has(Number(key.slice(1)));
const comesFromPort = (wire) => wire.from.startsWith("in ") || isOpened(wire.from);
const goesToPort = (wire) => wire.to.startsWith("out ") || isOpened(wire.to);
// What is said of a flow: the names of what it is made of, and how much it is while it flows.
const flowText = (flow, now) => (flow.terms.length === 0 ? "—" : now && flow.array !== null && flow.whole ? amountText(short(sumOf(flow.terms), 16), arrayText(flow.array)) : short(sumOf(flow.terms), 16));
const wireName = (wire) => short(sumOf(wire.edges.filter((edge) => edge.d !== null).map((edge) => edge.d)), 16);

function drawScene(flow) {
  const scene = sceneOf(sizeOf, flow, (wire) => (comesFromPort(wire) ? 0 : Math.max(widthOf(wireName(wire), SMALL), Math.min(MOST_FLOW, widthOf(flowText(flowOf(wire, Infinity), true), BOLD)))));
  drawn.scene = scene;
  drawn.boxes.clear();
  drawn.wires = [];
  for (const layer of layers) layer.replaceChildren();
  for (const wire of scene.wires) drawWire(wire);
  for (const box of scene.boxes) drawBox(box);
  return scene;
}

// What a wire carries: a value, on its way to one node or into a scope.
const wireTitle = (wire) => [...new Set(wire.edges.map((edge) => nodes[edge.source].called))].slice(0, 3).join(", ");

function drawWire(wire) {
  const constant = wire.edges.every((edge) => nodes[edge.source].kind === "constant");
  const toPort = goesToPort(wire), fromPort = comesFromPort(wire);
  const group = make("g", { class: `wire${constant ? " constant" : ""}` });
  const back = data.recorded.gradients && !constant;
  const black = make("path", { class: "black", d: pathText(wire.points, wire.turned, back ? -3.5 : 0) });
  if (!toPort) black.setAttribute("marker-end", "url(#tip)");
  group.append(make("path", { class: "hit", d: pathText(wire.points, wire.turned, 0) }), black);
  const entry = { wire, group, black, red: null, label: null, fromPort, toPort };
  if (back) {
    entry.red = make("path", { class: "red", d: pathText(wire.points, wire.turned, 3.5) });
    if (!fromPort) entry.red.setAttribute("marker-start", "url(#tipred)");
    group.append(entry.red);
    const [a, b] = [wire.points[1], wire.points[2]];
    const at = { main: (a.main + b.main) / 2, cross: (a.cross + b.cross) / 2 };
    const [x, y] = wire.turned ? [at.cross + 8, at.main + 4] : [at.main, at.cross + 16];
    entry.label = make("text", { class: "flow", x, y, "text-anchor": wire.turned ? "start" : "middle" });
    if (!fromPort) layers[3].append(entry.label);
  }
  group.append(make("title", {}, short(wireTitle(wire), 80)));
  group.dataset.wire = drawn.wires.length;
  layers[1].append(group);
  drawn.wires.push(entry);
}

function drawBox(box) {
  const { part } = box, cluster = isCluster(part);
  const group = make("g", { class: cluster ? `scope ${box.open ? "open" : "closed"}` : `card ${part.kind}${data.outputs.includes(part.id) ? " output" : ""}`, transform: `translate(${box.x.toFixed(1)},${box.y.toFixed(1)})`, tabindex: -1, role: "button" });
  group.dataset.key = box.key;
  group.append(make("rect", { class: "body", width: box.w.toFixed(1), height: box.h.toFixed(1), rx: box.open ? 10 : 8 }));
  const entry = { box, group, texts: [] };
  if (cluster) {
    group.setAttribute("aria-expanded", String(box.open));
    const head = make("g", { class: "head" });
    const title = short(clusterTitle(part), box.open ? Math.max(8, Math.floor(box.w / 9)) : 24);
    head.append(make("rect", { class: "grip", width: box.open ? Math.min(box.w, widthOf(title, `600 13px ${FONT}`) + 44).toFixed(1) : box.w.toFixed(1), height: 24, rx: 8 }));
    head.append(make("text", { class: "sign", x: 14, y: 17, "text-anchor": "middle" }, box.open ? "−" : "+"), make("text", { class: "title", x: 25, y: 17 }, title));
    if (box.open) {  // over the wires
      const top = make("g", { class: "scope open", transform: group.getAttribute("transform") });
      top.dataset.key = box.key;
      top.append(head);
      layers[3].append(top);
    } else group.append(head);
    if (!box.open) {
      const ids = members.get(part.id), operations = ids.filter((id) => nodes[id].kind === "operation");
      entry.count = make("text", { class: "small", x: 14, y: 37 });
      entry.operations = operations;
      entry.back = operations.filter((id) => backwardStep[id] < Infinity);
      entry.backCount = make("text", { class: "small back", x: 14, y: 53 });
      group.append(entry.count, entry.backCount);
      entry.begins = ids.filter((id) => nodes[id].starts.length);
      if (entry.begins.length) group.append(entry.starts = make("text", { class: "small starts", x: 14, y: 69 }));
      group.append(make("rect", { class: "under", x: 4, y: box.h.toFixed(1), width: (box.w - 8).toFixed(1), height: 3, rx: 1.5 }));
    }
  } else {
    const head = make("text", { class: "symbol", x: 12, y: 23 }, short(part.symbol, 18));
    if (part.kind === "operation" && part.name) head.append(make("tspan", { class: "name", dx: 8 }, short(part.name, 18)));
    group.append(head);
    let y = 40;
    const row = (kind, text) => {
      const element = make("text", { class: `small ${kind}`, x: 12, y }, text);
      y += 15;
      group.append(element);
      return element;
    };
    if (part.shape !== null) row("muted", shapeText(part));
    if (data.recorded.values) entry.value = row("value", "");
    if (data.recorded.gradients && part.kind !== "constant") {
      if (gradientRows(part.id, Infinity)[0]) entry.sum = row("back sum", "");
      entry.gradient = row("back gradient", "");
    }
    if (part.cut) row("muted", short(`cut by ${part.cut}`, 30));
    if (part.starts.length) [entry.begins, entry.starts] = [[part.id], row("starts", "")];
  }
  (box.open ? layers[0] : layers[2]).append(group);
  drawn.boxes.set(box.key, entry);
}

// ---- the state of a step

let heated = false;

function showTime(time) {
  const step = steps[time];
  const active = step.node === undefined ? null : visiblePath(nodes[step.node]).at(-1);
  for (const [key, entry] of drawn.boxes) {
    const { part } = entry.box;
    let label;
    if (isCluster(part)) {
      label = `scope ${short(clusterTitle(part), 80)}, ${entry.box.open ? "open" : "closed"}`;
      if (entry.count) {
        const done = entry.operations.filter((id) => forwardStep[id] <= time).length, back = entry.back.filter((id) => backwardStep[id] <= time).length;
        const result = entry.back.at(-1);
        entry.count.textContent = done === entry.operations.length ? `${done} operation${done === 1 ? "" : "s"}` : `${done} of ${entry.operations.length} operations`;
        entry.backCount.textContent = entry.back.length ? (back === entry.back.length ? resultText(result) : back ? `${back} of ${entry.back.length} back` : "—") : "";
        entry.group.classList.toggle("waiting", done === 0 && entry.operations.length > 0);
        label += `, ${entry.count.textContent}, ${entry.backCount.textContent}`;
      }
    } else {
      const reached = forwardStep[part.id] <= time;
      entry.group.classList.toggle("waiting", !reached);
      label = `${part.kind} ${short(part.symbol, 60)} ${part.name && part.kind === "operation" ? short(part.name, 60) : ""} ${shapeText(part)}`.trim();
      if (entry.value) {
        entry.value.textContent = arrayText(reached ? part.value : null);
        label += `, value ${entry.value.textContent}`;
      }
      if (entry.gradient) {
        const [sum, gradient] = gradientRows(part.id, time);
        label += `, gradient ${gradient}`;
        if (entry.sum) entry.sum.textContent = sum;
        entry.gradient.textContent = gradient;
        entry.group.classList.toggle("partial", !gathered(part.id, time).whole);
      }
    }
    if (entry.starts) {
      const here = entry.begins.flatMap((id) => startsAt(id, time));
      entry.starts.textContent = here.length && isCluster(part) ? "NaN or ∞ starts here" : here.join("; ");
      entry.group.classList.toggle("origin", here.length > 0);
      if (here.length) label += `, ${here.join(", ")}`;
    }
    const heat = heated && !entry.box.open ? heatOf(part, time) : null;
    entry.group.classList.toggle("sized", heat !== null && !Number.isNaN(heat));
    entry.group.classList.toggle("broken", Number.isNaN(heat));
    if (heat !== null) entry.group.style.setProperty("--size", heat.toFixed(3));
    entry.group.setAttribute("aria-label", label);
    entry.group.classList.toggle("active", key === active);
    entry.group.classList.toggle("backwards", key === active && step.kind === "backward");
  }
  for (const entry of drawn.wires) {
    const { wire, group, red, label } = entry;
    group.classList.toggle("waiting", wire.edges.every((edge) => forwardStep[edge.source] > time || forwardStep[edge.target] > time));
    group.classList.toggle("flowing", step.kind === "forward" && wire.edges.some((edge) => edge.target === step.node));
    if (!red) continue;
    const flow = flowOf(wire, time), now = step.kind === "backward" && wire.edges.some((edge) => edge.target === step.node && edge.cotangent !== null);
    group.classList.toggle("unsent", flow.terms.length === 0);
    group.classList.toggle("returning", now);
    label.classList.toggle("unsent", flow.terms.length === 0);
    label.classList.toggle("returning", now);
    label.textContent = flowText(flow, now);
  }
}

// ---- light: the pointed-at node with its twins

function light(key) {
  canvas.classList.toggle("lit", key !== null && drawn.boxes.has(key));
  const near = new Set([key]);
  const lit = key === null ? null : drawn.boxes.get(key);
  const cluster = lit && isCluster(lit.box.part) ? lit.box.part.id : null;
  const belongs = (id) => (cluster === null ? key === `n${id}` : pathOf(nodes[id].cluster).includes(cluster));
  for (const { wire, group, label, black, red, fromPort, toPort } of drawn.wires) {
    const on = lit !== null && wire.edges.some((edge) => belongs(edge.source) || belongs(edge.target));
    group.classList.toggle("on", on);
    label?.classList.toggle("on", on);
    if (!toPort) black.setAttribute("marker-end", on ? "url(#tiplit)" : "url(#tip)");
    if (red && !fromPort) red.setAttribute("marker-start", on ? "url(#tiplitred)" : "url(#tipred)");
    if (on) for (const edge of wire.edges) for (const id of [edge.source, edge.target]) near.add(visiblePath(nodes[id]).at(-1));
  }
  for (const [other, entry] of drawn.boxes) {
    entry.group.classList.toggle("on", other === key);
    entry.group.classList.toggle("near", near.has(other) && other !== key);
  }
}

// ---- moving and zooming

const camera = { x: 0, y: 0, scale: 1 };
function moveCamera() {
  if (canvas.hasAttribute("viewBox")) {  // while it is printed
    world.removeAttribute("transform");
    canvas.classList.remove("far");
    return;
  }
  world.setAttribute("transform", `translate(${camera.x.toFixed(2)},${camera.y.toFixed(2)}) scale(${camera.scale.toFixed(4)})`);
  canvas.classList.toggle("far", camera.scale < 0.45);
}
function zoomAt(x, y, factor) {
  const scale = Math.max(0.02, Math.min(4, camera.scale * factor)), real = scale / camera.scale;
  Object.assign(camera, { x: x - (x - camera.x) * real, y: y - (y - camera.y) * real, scale });
  moveCamera();
}
const BUTTONS = 60;
function fit(least = 0) {
  const { width, height } = drawn.scene, room = canvas.getBoundingClientRect();
  if (!room.width || !room.height) return;
  const margin = room.width < 600 ? 16 : 40;
  const whole = Math.min(1.25, (room.width - 2 * margin) / Math.max(width, 1), (room.height - margin - BUTTONS) / Math.max(height, 1));
  // Rather the beginning, to be read, than all of it too small.
  const scale = Math.max(0.02, whole, Math.min(least, 1.25)), middle = (size, drawing) => Math.max(margin, (size - drawing * scale) / 2);
  Object.assign(camera, { x: middle(room.width, width), y: middle(room.height - BUTTONS + margin, height), scale });
  moveCamera();
}
// Bring a box into view, if it is not there or too small to read.
function centre(key, least = 0.7) {
  const entry = drawn.boxes.get(key), room = canvas.getBoundingClientRect();
  if (!entry) return;
  const { x, y, w, h } = entry.box, scale = Math.max(camera.scale, least);
  const left = x * camera.scale + camera.x, top = y * camera.scale + camera.y;
  const inside = left >= 8 && top >= 8 && left + w * camera.scale <= room.width - 8 && top + h * camera.scale <= room.height - 8;
  if (inside && camera.scale >= least) return;
  Object.assign(camera, { scale, x: room.width / 2 - (x + w / 2) * scale, y: room.height / 2 - (y + h / 2) * scale });
  moveCamera();
}
