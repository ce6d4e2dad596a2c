// The page's state and everything that changes it: pointer, keys, search, replay.

const get = (id) => document.getElementById(id);
const state = { time: steps.length - 1, selected: null, pointed: null, focused: null, playing: null, flow: innerWidth < 700 ? "TB" : "LR" };

function say(text) {
  get("message").hidden = !text;
  get("message").textContent = text;
  clearTimeout(say.timer);
  if (text) say.timer = setTimeout(() => say(""), 8000);
}

// ---- drawing

function redraw({ keep = null, refit = false } = {}) {
  const before = keep && drawn.boxes.get(keep)?.box;
  drawScene(state.flow);
  showTime(state.time);
  const after = keep && drawn.boxes.get(keep)?.box;
  if (refit) fit(0.55);
  else if (before && after) {  // what was clicked stays under the pointer
    camera.x += (before.x - after.x) * camera.scale;
    camera.y += (before.y - after.y) * camera.scale;
    moveCamera();
  }
  mark();
}

function mark() {
  for (const [key, entry] of drawn.boxes) entry.group.classList.toggle("selected", key === state.selected);
  const wire = state.selected?.[0] === "w" ? state.selected : null;
  for (const entry of drawn.wires) entry.group.classList.toggle("selected", wire !== null && wireKey(entry.wire) === wire);
  light(state.pointed ?? state.focused ?? (state.time === steps.length - 1 ? state.selected : null));
}

function select(key, { move = false, quiet = false } = {}) {
  if (key !== null && key[0] !== "w") {
    const part = key[0] === "c" ? clusters[Number(key.slice(1))] : nodes[Number(key.slice(1))];
    const count = open.size;
    reveal(part);
    if (open.size !== count) redraw();
  }
  state.selected = key;
  state.focused = null;
  if (!quiet) showPanel(key, state.time);
  mark();
  if (key !== null) centre(key, move ? 0.7 : 0);
}

function toggleCluster(id) {
  const shown = drawn.boxes.get(`c${id}`)?.box.open;
  if (open.has(id)) open.delete(id);
  else open.add(id);
  redraw({ keep: `c${id}` });
  if (state.selected !== null && state.selected[0] !== "w" && !drawn.boxes.has(state.selected)) select(null);
  else if (state.selected !== null) showPanel(state.selected, state.time);
  if (shown) centre(`c${id}`, 0.3);
  focusBox(`c${id}`);
}

function openAll() {
  if (!openUpTo(MANY, true)) say(`Scopes were opened until about ${MANY} parts are shown; open others one by one.`);
  redraw({ refit: true });
}
function closeAll() {
  open.clear();
  if (state.selected !== null && state.selected[0] !== "w" && !children.get(null).some((part) => keyOf(part) === state.selected)) select(null);
  redraw({ refit: true });
}
function turn() {
  state.flow = state.flow === "LR" ? "TB" : "LR";
  redraw({ refit: true });
}
function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

// Colour by the size of the gradient, or not.
function changeHeat() {
  if (!ends) return;
  say("");
  heated = !heated;
  document.body.classList.toggle("heated", heated);
  get("heat").setAttribute("aria-pressed", String(heated));
  get("legend").hidden = !heated;
  showTime(state.time);
}

// ---- replay

function caption(time) {
  const step = steps[time];
  if (step.kind === "start") return ["Start", "the leaves and constants are there"];
  if (step.kind === "end") {
    const run = data.recorded.gradients ? "it run, forward and then backward" : data.recorded.values ? "it run" : "the order";
    return ["All of it", `press play to see ${run}`];
  }
  if (step.kind === "seed") return ["Backward", `the seed: ${nodes.filter((node) => node.seeded).map((node) => node.d).join(", ")}`];
  const node = nodes[step.node];
  if (step.kind === "forward") return ["Forward", `${node.called} = ${node.formula}`];
  const sent = incoming[node.id].filter((edge) => edge.cotangent !== null);
  const words = sent.map((edge) => {
    const { terms } = gathered(edge.source, time), own = nodes[edge.source].d;
    const rule = edge.formula ? ruleText(edge) : edge.d;
    return terms.length > 1 && terms.at(-1) === edge.d ? `${rule}, so ${own} = ${sumOf(terms)}` : rule;
  });
  return [`Backward through ${node.symbol}`, words.join(";  ")];
}

function setTime(time, { follow = true } = {}) {
  state.time = Math.max(0, Math.min(steps.length - 1, time));
  const slider = get("time");
  slider.value = state.time;
  const [phase, text] = caption(state.time);
  slider.setAttribute("aria-valuetext", short(`${phase}: ${text}`, 200));
  get("step").textContent = `${state.time} / ${steps.length - 1}`;
  get("caption").replaceChildren(tag("b", { class: phase.startsWith("Backward") ? "back" : "" }, short(phase, 40)), ` ${short(text, 160)}`);
  get("back").disabled = state.time === 0;
  get("next").disabled = state.time === steps.length - 1;
  showTime(state.time);
  mark();
  if (state.selected !== null) showPanel(state.selected, state.time);
  if (follow && steps[state.time].node !== undefined) {
    const key = visiblePath(nodes[steps[state.time].node]).at(-1);
    if (canvas.getBoundingClientRect().height > 200 && camera.scale > 0.45) centre(key, 0);
  }
}

function play() {
  if (state.playing !== null) return pause();
  if (state.time === steps.length - 1) setTime(0);
  get("caption").setAttribute("aria-live", "off");  // rather than that every step be read out
  const pace = Math.max(30, Math.min(1100, 60000 / steps.length));
  state.playing = setInterval(() => {
    setTime(state.time + 1);
    if (state.time === steps.length - 1) pause();
  }, pace);
  get("play").classList.add("playing");
  get("play").setAttribute("aria-label", "Pause");
}
function pause() {
  clearInterval(state.playing);
  get("caption").setAttribute("aria-live", "polite");
  state.playing = null;
  get("play").classList.remove("playing");
  get("play").setAttribute("aria-label", "Play");
}
const step = (by) => { pause(); setTime(state.time + by); };

// ---- search

const haystack = [...clusters.map((cluster) => [`c${cluster.id}`, clusterTitle(cluster), `${cluster.group ? "group" : "scope"} ${clusterTitle(cluster)}`]),
  ...nodes.map((node) => [`n${node.id}`, `${node.symbol} ${node.name ?? ""}`, `${node.name ?? ""} ${node.symbol} ${node.operation ?? node.kind} ${node.called} ${shapeText(node)}`])].map(([key, title, text]) => ({ key, title, text: text.toLowerCase() }));
function search() {
  const wanted = get("search").value.trim().toLowerCase(), list = get("found");
  const hits = wanted ? haystack.filter((entry) => wanted.split(/\s+/).every((word) => entry.text.includes(word))) : [];
  hits.sort((a, b) => a.title.trim().length - b.title.trim().length);
  list.replaceChildren(...hits.slice(0, 12).map((entry, i) => {
    const node = entry.key[0] === "n" ? nodes[Number(entry.key.slice(1))] : null;
    const item = tag("li", { role: "option", id: `hit${i}`, "aria-selected": String(i === 0), "data-key": entry.key }, short(node ? `${node.symbol}  ${node.kind === "operation" ? node.name ?? "" : ""}` : entry.title, 40), tag("span", { class: "muted" }, node ? `${node.operation ?? node.kind} ${shapeText(node)}` : "scope"));
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(entry.key); });
    return item;
  }));
  if (wanted) list.append(tag("li", { class: "count muted", role: "presentation" }, hits.length === 0 ? "nothing found" : hits.length > 12 ? `12 of ${hits.length}` : `${hits.length} found`));
  list.hidden = !wanted;
  get("search").setAttribute("aria-expanded", String(Boolean(wanted)));
  if (hits.length) get("search").setAttribute("aria-activedescendant", "hit0");
  else get("search").removeAttribute("aria-activedescendant");
}
function choose(key) {
  get("search").value = "";
  search();
  select(key, { move: true });
  focusBox(key);
}
get("search").addEventListener("input", search);
get("search").addEventListener("blur", () => { get("found").hidden = true; });
get("search").addEventListener("keydown", (event) => {
  const options = [...get("found").querySelectorAll("[role=option]")], at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const next = options[(at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length];
    options.forEach((option) => option.setAttribute("aria-selected", String(option === next)));
    if (next) get("search").setAttribute("aria-activedescendant", next.id);
  } else if (event.key === "Enter" && options[at]) choose(options[at].dataset.key);
  else if (event.key === "Escape") {
    get("search").value = "";
    search();
    canvas.focus();
  }
  event.stopPropagation();
});

// ---- keys

function focusBox(key) {
  const entry = drawn.boxes.get(key);
  if (!entry) return;
  state.focused = key;
  entry.group.focus({ preventScroll: true });
  centre(key, 0);
  mark();
}
function walk(dx, dy) {
  const from = drawn.boxes.get(state.focused ?? state.selected ?? "")?.box ?? null;
  let best = null, least = Infinity;
  for (const [key, { box }] of drawn.boxes) {
    if (box === from) continue;
    const x = box.x + (box.open ? 0 : box.w / 2), y = box.y + (box.open ? 0 : box.h / 2);
    const a = from ? x - (from.x + (from.open ? 0 : from.w / 2)) : x, b = from ? y - (from.y + (from.open ? 0 : from.h / 2)) : y;
    const along = a * dx + b * dy, aside = Math.abs(a * dy) + Math.abs(b * dx);
    if (from && along <= 1) continue;
    const cost = Math.abs(along) + 2.5 * aside;
    if (cost < least) [best, least] = [key, cost];
  }
  if (best) focusBox(best);
}
const KEYS = {
  " ": play, ",": () => step(-1), ".": () => step(1), Home: () => step(-Infinity), End: () => step(Infinity), "/": () => get("search").focus(), e: openAll, c: closeAll,
  "+": () => zoomMiddle(1.25), "=": () => zoomMiddle(1.25), "-": () => zoomMiddle(0.8), 0: () => fit(), d: turn, g: changeHeat, t: changeTheme, "?": () => get("helptext").showModal(),
  Escape: () => { select(null); canvas.focus(); },
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
function zoomMiddle(factor) {
  const room = canvas.getBoundingClientRect();
  zoomAt(room.width / 2, room.height / 2, factor);
}
function activate(key) {
  if (key[0] === "c") {
    toggleCluster(Number(key.slice(1)));
    if (drawn.boxes.get(key)?.box.open === false) select(key);
  } else select(key);
}
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || get("helptext").open) return;
  const { target } = event, button = target.closest?.("button"), slider = target.id === "time";
  if (canvas.contains(target) && event.key in ARROWS) {
    event.preventDefault();
    return walk(...ARROWS[event.key]);
  }
  const key = canvas.contains(target) && (target.closest("[data-key]")?.dataset.key ?? state.focused);
  if (key && (event.key === "Enter" || (event.key === " " && key === reached))) {
    event.preventDefault();
    return activate(key);
  }
  if ((button && (event.key === " " || event.key === "Enter")) || (slider && (event.key === "Home" || event.key === "End"))) return;
  if (panel.contains(target) && (event.key === "Home" || event.key === "End")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
let reached = null;  // what the keyboard, rather than the pointer, has come to
canvas.addEventListener("focusin", (event) => {
  const group = event.target.closest("[data-key]");
  reached = group?.matches(":focus-visible") ? group.dataset.key : null;
  if (reached) {
    state.focused = reached;
    mark();
  }
});

// ---- pointer: drag, wheel, pinch, click, hover

const pointers = new Map();
let dragged = 0;
canvas.addEventListener("pointerdown", (event) => {
  say("");
  if (event.button !== 0) return;
  if (!pointers.size) dragged = 0;
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
addEventListener("pointermove", (event) => {
  const old = pointers.get(event.pointerId);
  if (!old) return;
  const now = { x: event.clientX, y: event.clientY }, room = canvas.getBoundingClientRect();
  if (pointers.size === 1) {
    dragged += Math.abs(now.x - old.x) + Math.abs(now.y - old.y);
    if (dragged > 4) {
      canvas.setPointerCapture?.(event.pointerId);
      camera.x += now.x - old.x;
      camera.y += now.y - old.y;
      moveCamera();
    }
  } else {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const far = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    dragged = 10;
    camera.x += (now.x - old.x) / 2;
    camera.y += (now.y - old.y) / 2;
    zoomAt((now.x + other.x) / 2 - room.left, (now.y + other.y) / 2 - room.top, far(now) / far(old));
  }
  pointers.set(event.pointerId, now);
});
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, (event) => pointers.delete(event.pointerId));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const room = canvas.getBoundingClientRect(), unit = event.deltaMode === 1 ? 16 : 1;
  if (event.shiftKey) {
    camera.x -= (event.deltaX || event.deltaY) * unit;
    moveCamera();
  } else zoomAt(event.clientX - room.left, event.clientY - room.top, Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0015)));
}, { passive: false });
canvas.addEventListener("click", (event) => {
  if (dragged > 4) return;
  const group = event.target.closest("[data-key]");
  const line = event.target.closest("[data-wire]");
  if (line) return select(wireKey(drawn.wires[Number(line.dataset.wire)].wire));
  if (!group) return select(null);
  const { key } = group.dataset;
  if (event.target.closest(".head")) activate(key);
  else select(key);
});
canvas.addEventListener("dblclick", (event) => {
  const key = event.target.closest("[data-key]")?.dataset.key;
  if (key?.[0] === "c" && !event.target.closest(".head")) toggleCluster(Number(key.slice(1)));
});
canvas.addEventListener("pointerover", (event) => {
  if (event.pointerType === "touch") return;
  const key = event.target.closest("[data-key]")?.dataset.key ?? null;
  const pointed = key && drawn.boxes.get(key)?.box.open ? null : key;
  if (pointed !== state.pointed) {
    state.pointed = pointed;
    mark();
  }
});
canvas.addEventListener("pointerleave", () => {
  state.pointed = null;
  mark();
});

// ---- buttons and the start

for (const [id, action] of Object.entries({ expand: openAll, collapse: closeAll, heat: changeHeat, turn, theme: changeTheme, help: KEYS["?"], in: () => zoomMiddle(1.25), out: () => zoomMiddle(0.8), fit: () => fit(), play, back: () => step(-1), next: () => step(1) })) {
  get(id).addEventListener("click", action);
}
get("time").max = steps.length - 1;
get("time").addEventListener("input", (event) => { pause(); setTime(Number(event.target.value)); });
get("helptext").addEventListener("click", (event) => { if (event.target === get("helptext")) get("helptext").close(); });
get("heat").hidden = !ends;
if (ends) {
  for (const [id, end] of [["least", ends[0]], ["greatest", ends[1]]]) {
    get(id).textContent = number(Number(gradientSizes[end].toPrecision(3)));
    get(id).title = `${id}, at ${short(nodes[end].called, 40)}`;
    get(id).setAttribute("aria-label", `${id} gradient: ${get(id).textContent}, at ${short(nodes[end].called, 40)}`);
    get(id).addEventListener("click", () => select(`n${end}`, { move: true }));
  }
}
get("title").textContent = short(document.title, 60);
const made = nodes.filter((node) => node.kind === "operation").length;
get("count").textContent = `${nodes.length} nodes, ${made} operations`;
get("forward").style.flexGrow = made + 1;
get("backward").style.flexGrow = steps.length - made - 2;
get("backward").hidden = !data.recorded.gradients;
const all = openUpTo(FEW, false);
redraw({ refit: true });
setTime(state.time, { follow: false });
if (!all) say(`${nodes.length} nodes: ${open.size ? "some " : ""}scopes are closed. Click a name to open one, or search with /.`);
else if (!data.recorded.values) say("Values and gradients are shown for what ran inside ab.record().");

// ---- on paper: all that is open, dark on light

const page = document.documentElement;
let screenTheme;
addEventListener("beforeprint", () => {
  screenTheme = page.dataset.theme;
  page.dataset.theme = "light";
  canvas.setAttribute("viewBox", `-20 -20 ${drawn.scene.width + 40} ${drawn.scene.height + 40}`);
  moveCamera();
});
addEventListener("afterprint", () => {
  if (screenTheme) page.dataset.theme = screenTheme;
  else delete page.dataset.theme;
  canvas.removeAttribute("viewBox");
  moveCamera();
});

let size = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== size && !canvas.hasAttribute("viewBox")) fit(0.55);
  size = innerWidth;
});
document.documentElement.dataset.ready = "true";
