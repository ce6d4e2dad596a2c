// The graph as it is shown: which clusters are open, what stands where, which wires run between them, and what is known at each step.

const data = JSON.parse(document.getElementById("data").textContent);
const { nodes, edges, clusters, arrays } = data;
const FEW = 60, MANY = 600;

const children = new Map([[null, []]]);
clusters.forEach((cluster) => children.set(cluster.id, []));
clusters.forEach((cluster) => children.get(cluster.parent).push(cluster));
nodes.forEach((node) => children.get(node.cluster).push(node));
const isCluster = (part) => "parent" in part;
const parentOf = (part) => (isCluster(part) ? part.parent : part.cluster);
const keyOf = (part) => (isCluster(part) ? `c${part.id}` : `n${part.id}`);

// The nodes of each cluster, all the way down, and its place in the order of running.
const members = new Map(clusters.map((cluster) => [cluster.id, []]));
const paths = new Map([[null, []]]);
function pathOf(cluster) {
  if (!paths.has(cluster)) paths.set(cluster, [...pathOf(clusters[cluster].parent), cluster]);
  return paths.get(cluster);
}
for (const node of nodes) for (const cluster of pathOf(node.cluster)) members.get(cluster).push(node.id);
const firstOf = (part) => (isCluster(part) ? members.get(part.id)[0] ?? 0 : part.id);
for (const [cluster, parts] of children) children.set(cluster, parts.filter((part) => !isCluster(part) || members.get(part.id).length));
for (const parts of children.values()) parts.sort((a, b) => firstOf(a) - firstOf(b));

const outgoing = nodes.map(() => []), incoming = nodes.map(() => []);
edges.forEach((edge, i) => {
  edge.id = i;
  outgoing[edge.source].push(edge);
  incoming[edge.target].push(edge);
});
outgoing.forEach((list) => list.sort((a, b) => a.arrival - b.arrival));
const crossings = new Map(data.crossings.map((crossing) => [`${crossing.source} ${crossing.cluster}`, crossing.cotangent]));

// ---- the replay: step 0 has the leaves; then each operation; then the seed; then each operation that a gradient passed, in reverse

const steps = [{ kind: "start" }];
const forwardStep = nodes.map(() => 0), backwardStep = nodes.map(() => Infinity);
for (const node of nodes) {
  if (node.kind !== "operation") continue;
  forwardStep[node.id] = steps.length;
  steps.push({ kind: "forward", node: node.id });
}
const seedStep = data.recorded.gradients ? steps.length : Infinity;
if (data.recorded.gradients) {
  steps.push({ kind: "seed" });
  for (const node of [...nodes].reverse()) {
    if (node.kind !== "operation" || !incoming[node.id].some((edge) => edge.cotangent !== null)) continue;
    backwardStep[node.id] = steps.length;
    steps.push({ kind: "backward", node: node.id });
  }
}
steps.push({ kind: "end" });
for (const cluster of clusters) {
  if (!cluster.group) continue;
  const made = members.get(cluster.id).filter((id) => nodes[id].kind === "operation");
  cluster.name = made.length ? `steps ${forwardStep[made[0]]} … ${forwardStep[made[made.length - 1]]}` : "values";
}
const arrivals = (node, time) => outgoing[node].filter((edge) => edge.cotangent !== null && backwardStep[edge.target] <= time);
const expected = outgoing.map((list) => list.filter((edge) => edge.cotangent !== null).length);
const sumOf = (terms) => (terms.length > 8 ? [...terms.slice(0, 3), "…", terms.at(-1)] : terms).join(" + ");
const valueKnown = (node, time) => nodes[node].value !== null && forwardStep[node] <= time;
const gradientWhole = (node, time) => nodes[node].gradient !== null && seedStep <= time && arrivals(node, time).length === expected[node];

// What has come together at a node by a step: the terms' names, and the array of their sum where it is known.
function gathered(id, time) {
  const node = nodes[id], here = arrivals(id, time);
  const terms = here.map((edge) => edge.d);
  if (node.seeded && seedStep <= time) terms.unshift("seed");
  const whole = node.gradient !== null && seedStep <= time && here.length === expected[id];
  let array = null;
  if (whole) array = node.gradient;
  else if (here.length === 1 && !node.seeded) array = here[0].cotangent;
  else if (here.length && !node.seeded && node.sums.length) array = node.sums[here.length - 1];
  return { terms, array, whole, missing: expected[id] - here.length };
}

// What is not finite and starts at a node, as far as the replay has come: in its value, or in what its rule sends back.
const startsAt = (id, time) => [...(nodes[id].starts.includes("value") && forwardStep[id] <= time ? ["NaN or ∞ starts here"] : []), ...(nodes[id].starts.includes("gradient") && backwardStep[id] <= time ? ["NaN or ∞ starts here, backward"] : [])];

// What flows back over a wire, which may stand for several edges of one value.
function flowOf(wire, time) {
  const sent = wire.edges.filter((edge) => edge.cotangent !== null), here = sent.filter((edge) => backwardStep[edge.target] <= time);
  const source = wire.edges[0].source;
  if (wire.edges.some((edge) => edge.source !== source)) return { terms: here.map((edge) => edge.d), array: null, whole: here.length === sent.length };
  let array = null;
  if (here.length === 1) array = here[0].cotangent;
  else if (here.length && here.length === sent.length) array = sent.length === expected[source] && !nodes[source].seeded ? nodes[source].gradient : wire.cluster === null ? null : crossings.get(`${source} ${wire.cluster}`) ?? null;
  return { terms: here.map((edge) => edge.d), array, whole: here.length > 0 && here.length === sent.length };
}

// ---- gradients by size: the root of the mean square of their elements, on a logarithmic scale

function sizeOfGradient(id) {
  if (nodes[id].gradient === null) return null;
  const array = arrays[nodes[id].gradient], count = array.shape.reduce((product, length) => product * length, 1);
  if (!count) return null;
  return array.nan || array.inf || !("norm" in array) ? NaN : array.norm / Math.sqrt(count);
}
const gradientSizes = nodes.map((node) => sizeOfGradient(node.id));
// The nodes of the least and the greatest gradient that is neither 0 nor broken.
const ends = gradientSizes.reduce((found, size, id) => {
  if (!(size > 0)) return found;
  return found ? [size < gradientSizes[found[0]] ? id : found[0], size > gradientSizes[found[1]] ? id : found[1]] : [id, id];
}, null);
// A part's place on the scale from 0 to 1, null where nothing is known, NaN where the gradient is not finite. A closed scope has that of its result.
function heatOf(part, time) {
  const id = isCluster(part) ? members.get(part.id).findLast((one) => gradientSizes[one] !== null && nodes[one].kind === "operation") : part.id;
  if (id === undefined || gradientSizes[id] === null || !gradientWhole(id, time)) return null;
  if (!(gradientSizes[id] > 0)) return gradientSizes[id];
  const [low, high] = ends.map((end) => Math.log(gradientSizes[end]));
  return high > low ? (Math.log(gradientSizes[id]) - low) / (high - low) : 1;
}

// ---- which clusters are open

const open = new Set();
const shownCount = () => {
  let count = 0;
  const stack = [...children.get(null)];
  while (stack.length) {
    const part = stack.pop();
    count++;
    if (isCluster(part) && open.has(part.id)) stack.push(...children.get(part.id));
  }
  return count;
};

// Open clusters, outermost first, as long as no more than `limit` parts are shown; a level whole or not at all unless `some`. Says whether all are open.
function openUpTo(limit, some) {
  let count = shownCount();
  let level = children.get(null).filter(isCluster), all = true;
  while (level.length) {
    const below = [], more = level.filter((cluster) => !open.has(cluster.id)).reduce((sum, cluster) => sum + children.get(cluster.id).length, 0);
    if (!some && count + more > limit) return false;
    for (const cluster of level) {
      const parts = children.get(cluster.id);
      if (!open.has(cluster.id)) {
        if (count + parts.length > limit) {
          all = false;
          continue;
        }
        open.add(cluster.id);
        count += parts.length;
      }
      below.push(...parts.filter(isCluster));
    }
    level = below;
  }
  return all;
}

const reveal = (part) => { for (const cluster of pathOf(parentOf(part))) open.add(cluster); };

// ---- the scene: boxes and wires with places, container by container

function visiblePath(node) {
  const path = [];
  for (const cluster of pathOf(node.cluster)) {
    path.push(`c${cluster}`);
    if (!open.has(cluster)) return path;
  }
  path.push(`n${node.id}`);
  return path;
}

function wiresByContainer() {
  const found = new Map();
  const path = nodes.map(visiblePath);
  const closed = (key) => key[0] === "c" && !open.has(Number(key.slice(1)));
  const add = (container, from, to, edge, cluster) => {
    const one = to[0] === "n" ? edge.id : closed(from) && closed(to) ? "all" : `s${edge.source}`;
    const key = `${container}|${from}|${to}|${one}`;
    const wire = found.get(key);
    if (wire) wire.edges.push(edge);
    else found.set(key, { container, from, to, port: edge.source, edges: [edge], cluster });
  };
  const number = (key) => Number(key.slice(1));
  for (const edge of edges) {
    const a = path[edge.source], b = path[edge.target];
    let common = 0;
    while (common < a.length && common < b.length && a[common] === b[common]) common++;
    if (common === a.length || common === b.length) continue;
    for (let k = a.length - 1; k > common; k--) add(a[k - 1], a[k], `out ${a[k - 1]} ${edge.source}`, edge, number(a[k - 1]));
    add(common ? a[common - 1] : "", a[common], b[common], edge, b[common][0] === "c" ? number(b[common]) : a[common][0] === "c" ? number(a[common]) : null);
    for (let k = common + 1; k < b.length; k++) add(b[k - 1], `in ${b[k - 1]} ${edge.source}`, b[k], edge, b[k][0] === "c" ? number(b[k]) : null);
  }
  const grouped = new Map();
  for (const wire of found.values()) {
    wire.edges.sort((a, b) => a.arrival - b.arrival);
    put(grouped, wire.container, wire);
  }
  return grouped;
}

const HEADER = 26, PAD = 16;

// The layout of a container, made again only where something in it has changed.
const plans = new Map();
function planned(container, made, links, gap) {
  const mark = JSON.stringify([gap, made.map(({ key, main, cross, ins, outs }) => [key, main, cross, ins, outs]), links]);
  if (plans.get(container)?.mark !== mark) plans.set(container, { mark, plan: layered(made, links, gap) });
  return plans.get(container).plan;
}

// Everything that is shown: {boxes: [{part, x, y, w, h, open}], wires: [{…, points}], width, height}. `sizeOf(part)` is a closed part's.
function sceneOf(sizeOf, flow, labelWidth) {
  const wires = wiresByContainer();
  const boxes = [], lines = [];
  const turned = flow === "TB";
  function inside(container, parts) {
    const mine = wires.get(container) ?? [];
    const inPorts = [...new Set(mine.filter((wire) => wire.from.startsWith("in ")).map((wire) => wire.from))];
    const outPorts = [...new Set(mine.filter((wire) => wire.to.startsWith("out ")).map((wire) => wire.to))];
    const made = [...inPorts.map((key) => ({ key, main: 0, cross: 10, border: "in" }))];
    for (const part of parts) {
      const key = keyOf(part), item = { key, part };
      if (isCluster(part) && open.has(part.id)) {
        item.inner = inside(key, children.get(part.id));
        [item.main, item.cross] = [item.inner.main, item.inner.cross];
        [item.ins, item.outs] = [item.inner.ins, item.inner.outs];
      } else {
        const size = sizeOf(part);
        [item.main, item.cross] = turned ? [size.h, size.w] : [size.w, size.h];
      }
      made.push(item);
    }
    made.push(...outPorts.map((key) => ({ key, main: 0, cross: 10, border: "out" })));
    const index = new Map(made.map((item, i) => [item.key, i]));
    const labelled = data.recorded.gradients && !turned;
    const links = mine.map((wire) => ({ from: index.get(wire.from), to: index.get(wire.to), port: wire.port, room: labelled ? 14 + labelWidth(wire) : 0 }));
    const plan = planned(container, made, links, labelled ? 50 : 40);
    const before = turned ? { main: HEADER, cross: PAD } : { main: PAD, cross: HEADER };
    const size = container === "" ? { main: plan.main, cross: plan.cross } : { main: plan.main + before.main + PAD, cross: plan.cross + before.cross + PAD };
    const shift = container === "" ? { main: 0, cross: 0 } : before;
    const ports = (keys) => Object.fromEntries(keys.map((key) => [key.split(" ")[2], plan.places[index.get(key)].cross + shift.cross - size.cross / 2]));
    return { ...size, ins: ports(inPorts), outs: ports(outPorts), made, mine, plan, shift, container };
  }
  // From the inside's own places to those of the page.
  function put_down(level, main, cross) {
    const dm = main + level.shift.main, dc = cross + level.shift.cross;
    level.made.forEach((item, i) => {
      if (item.border) return;
      const at = level.plan.places[i], m = dm + at.main - item.main / 2, c = dc + at.cross - item.cross / 2;
      const [x, y, w, h] = turned ? [c, m, item.cross, item.main] : [m, c, item.main, item.cross];
      boxes.push({ key: item.key, part: item.part, x, y, w, h, open: Boolean(item.inner) });
      if (item.inner) put_down(item.inner, m, c);
    });
    level.mine.forEach((wire, i) => {
      const points = level.plan.routes[i].map((point) => ({ main: dm + point.main, cross: dc + point.cross }));
      // A port's wire goes on to the border itself.
      if (wire.from.startsWith("in ")) points[0] = { main, cross: points[0].cross };
      if (wire.to.startsWith("out ")) points[points.length - 1] = { main: main + level.main, cross: points[points.length - 1].cross };
      lines.push({ ...wire, points, turned });
    });
  }
  const top = inside("", children.get(null));
  put_down(top, 0, 0);
  return { boxes, wires: lines, width: turned ? top.cross : top.main, height: turned ? top.main : top.cross };
}
