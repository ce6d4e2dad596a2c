// A layered layout of one container: its parts, and the links between them. Main is the direction of flow, cross the other.
//
// parts: [{main, cross, border: "in" | "out" | undefined, outs: {port: offset}, ins: {port: offset}}] in the order of running
// links: [{from, to, port, room}] with indices of parts, and what their labels need between two levels; offsets are from a part's middle.
// Gives {main, cross, places: [{main, cross}], routes: [[{main, cross}, …]]}: middles of parts, and points of links: level, curve, level, curve, …

const LEVEL_GAP = 26, PORT_GAP = 14, SWEEPS = 12, ROUNDS = 24;

function layered(parts, links, gap) {
  const rank = ranksOf(parts, links, running(parts, links));
  const vertices = parts.map((part, i) => ({ rank: rank[i], size: part.cross, part: i, next: [], previous: [] }));
  const chains = links.map((link) => chainOf(link, rank, vertices, parts));
  const layers = [];
  for (const vertex of vertices) (layers[vertex.rank] ??= []).push(vertex);
  for (let i = 0; i < layers.length; i++) layers[i] ??= [];
  order(layers);
  place(layers);
  straighten(layers, chains);
  return measured(parts, links, vertices, layers, chains, gap);
}

// Each part's turn: after all that lead to it; where they lead in a circle, the first in the given order goes first.
function running(parts, links) {
  const waits = parts.map(() => 0), out = parts.map(() => []), turn = parts.map(() => -1);
  for (const link of links) {
    if (link.from === link.to) continue;
    out[link.from].push(link.to);
    waits[link.to]++;
  }
  const left = parts.map((_, i) => i);
  for (let count = 0; left.length; count++) {
    const at = Math.max(0, left.findIndex((i) => waits[i] === 0)), [i] = left.splice(at, 1);
    turn[i] = count;
    for (const j of out[i]) waits[j]--;
  }
  return turn;
}

function ranksOf(parts, links, turn) {
  const order = parts.map((_, i) => i).sort((a, b) => turn[a] - turn[b]);
  const rank = parts.map(() => 0);
  const inner = parts.some((part) => part.border === "in") ? 1 : 0;
  const out = parts.map(() => []);
  const has = parts.map(() => false);
  for (const link of links) {
    const [low, high] = turn[link.from] < turn[link.to] ? [link.from, link.to] : [link.to, link.from];
    out[low].push(high);
    has[high] = true;
  }
  for (const i of order) {
    if (!parts[i].border) rank[i] = Math.max(rank[i], inner);
    for (const j of out[i]) rank[j] = Math.max(rank[j], rank[i] + 1);
  }
  // What nothing leads to stands just before its first use.
  for (const i of order.reverse()) {
    if (!has[i] && !parts[i].border && out[i].length) rank[i] = Math.max(inner, Math.min(...out[i].map((j) => rank[j])) - 1);
  }
  const last = Math.max(0, ...rank.filter((_, i) => parts[i].border !== "out")) + 1;
  parts.forEach((part, i) => { if (part.border === "out") rank[i] = last; });
  return rank;
}

// The vertices that a link runs through: its two parts, and one a rank between them.
function chainOf(link, rank, vertices, parts) {
  const turned = rank[link.from] > rank[link.to];
  const [a, b] = turned ? [link.to, link.from] : [link.from, link.to];
  const chain = [vertices[a]];
  for (let r = rank[a] + 1; r < rank[b]; r++) {
    const vertex = { rank: r, size: 4, part: -1, next: [], previous: [] };
    vertices.push(vertex);
    chain.push(vertex);
  }
  chain.push(vertices[b]);
  for (let i = 0; i + 1 < chain.length; i++) {
    const start = i === 0 ? offsetOf(parts[a].outs, link.port) : 0, end = i + 2 === chain.length ? offsetOf(parts[b].ins, link.port) : 0;
    const weight = (chain[i].part < 0 ? 3 : 1) * (chain[i + 1].part < 0 ? 3 : 1);
    chain[i].next.push({ other: chain[i + 1], own: start, there: end, weight });
    chain[i + 1].previous.push({ other: chain[i], own: end, there: start, weight });
  }
  return { chain, turned };
}

const offsetOf = (offsets, port) => (offsets && port in offsets ? offsets[port] : 0);

// The order in each layer: barycentres up and down, keeping the order with the fewest crossings.
function order(layers) {
  const number = () => layers.forEach((layer) => layer.forEach((vertex, i) => { vertex.index = i; }));
  number();
  let best = Infinity, kept = null;
  for (let sweep = 0; sweep < SWEEPS && best > 0; sweep++) {
    const down = sweep % 2 === 0;
    const turns = down ? layers : [...layers].reverse();
    for (const layer of turns) {
      for (const vertex of layer) {
        const links = down ? vertex.previous : vertex.next;
        vertex.key = links.length ? links.reduce((sum, link) => sum + link.other.index + link.there / (link.other.size + 1), 0) / links.length : vertex.index;
      }
      layer.sort((a, b) => a.key - b.key || a.index - b.index);
      layer.forEach((vertex, i) => { vertex.index = i; });
    }
    const crossings = crossed(layers);
    if (crossings < best) {
      best = crossings;
      kept = layers.map((layer) => [...layer]);
    }
  }
  if (kept) kept.forEach((layer, i) => { layers[i] = layer; });
  number();
}

function crossed(layers) {
  let count = 0;
  for (const layer of layers) {
    const ends = [];
    for (const vertex of layer) for (const link of vertex.next) ends.push([vertex.index + link.own / (vertex.size + 1), link.other.index + link.there / (link.other.size + 1)]);
    for (let i = 0; i < ends.length; i++) for (let j = i + 1; j < ends.length; j++) if ((ends[i][0] - ends[j][0]) * (ends[i][1] - ends[j][1]) < 0) count++;
  }
  return count;
}

// Cross positions: each layer in turn goes to where its neighbours want it, as near as order and sizes allow.
function place(layers) {
  for (const layer of layers) {
    let at = 0;
    for (const vertex of layer) {
      vertex.at = at + vertex.size / 2;
      at += vertex.size + LEVEL_GAP;
    }
    for (const vertex of layer) vertex.at -= at / 2;
  }
  for (let round = 0; round < ROUNDS; round++) {
    const both = round > ROUNDS / 2, down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      const wanted = [], weights = [];
      for (const vertex of layer) {
        const links = both ? [...vertex.previous, ...vertex.next] : down ? vertex.previous : vertex.next;
        let sum = 0, weight = 0;
        for (const link of links) {
          sum += link.weight * (link.other.at + link.there - link.own);
          weight += link.weight;
        }
        wanted.push(weight ? sum / weight : vertex.at);
        weights.push(weight || 0.1);
      }
      settle(layer, wanted, weights);
    }
  }
}

// Long links run level where there is room, and what is nearly in line with the part before it is put in line.
function straighten(layers, chains) {
  const number = () => layers.forEach((layer) => layer.forEach((vertex, i) => { vertex.index = i; }));
  const room = (vertex) => {
    const layer = layers[vertex.rank], before = layer[vertex.index - 1], after = layer[vertex.index + 1];
    return [before ? before.at + apart(before, vertex) : -Infinity, after ? after.at - apart(vertex, after) : Infinity];
  };
  const level = (vertices, at) => {
    const rooms = vertices.map(room), low = Math.max(...rooms.map((r) => r[0])), high = Math.min(...rooms.map((r) => r[1]));
    if (low > high) return;
    for (const vertex of vertices) vertex.at = Math.max(low, Math.min(high, at));
  };
  number();
  const long = chains.map(({ chain }) => chain.slice(1, -1)).filter((chain) => chain.length > 1).sort((a, b) => b.length - a.length);
  for (let round = 0; round < 2; round++) {
    for (const layer of layers) {
      for (const vertex of layer) {
        const wanted = vertex.previous.map((link) => link.other.at + link.there - link.own).sort((a, b) => Math.abs(a - vertex.at) - Math.abs(b - vertex.at))[0];
        if (vertex.part >= 0 && wanted !== undefined && Math.abs(wanted - vertex.at) < 12) level([vertex], wanted);
      }
    }
    for (const chain of long) level(chain, chain[chain.length >> 1].at);
  }
}

const apart = (a, b) => (a.size + b.size) / 2 + (a.part < 0 && b.part < 0 ? PORT_GAP : LEVEL_GAP);

// The nearest positions in the given order with the gaps kept: pool adjacent violators.
function settle(layer, wanted, weights) {
  const shift = [0];
  for (let i = 1; i < layer.length; i++) shift.push(shift[i - 1] + apart(layer[i - 1], layer[i]));
  const blocks = [];
  wanted.forEach((want, i) => {
    let block = { mean: want - shift[i], weight: weights[i], count: 1 };
    while (blocks.length && blocks[blocks.length - 1].mean > block.mean) {
      const other = blocks.pop(), weight = other.weight + block.weight;
      block = { mean: (other.mean * other.weight + block.mean * block.weight) / weight, weight, count: other.count + block.count };
    }
    blocks.push(block);
  });
  let i = 0;
  for (const block of blocks) for (let k = 0; k < block.count; k++, i++) layer[i].at = block.mean + shift[i];
}

function measured(parts, links, vertices, layers, chains, gap) {
  let low = Infinity, high = -Infinity;
  for (const vertex of vertices) {
    low = Math.min(low, vertex.at - vertex.size / 2);
    high = Math.max(high, vertex.at + vertex.size / 2);
  }
  if (low > high) low = high = 0;
  const starts = [], ends = [], rooms = [];
  chains.forEach(({ chain }, i) => { rooms[chain[0].rank] = Math.max(rooms[chain[0].rank] ?? 0, links[i].room); });
  let main = 0;
  layers.forEach((layer, r) => {
    const width = Math.max(0, ...layer.map((vertex) => (vertex.part < 0 ? 0 : parts[vertex.part].main)));
    starts[r] = main;
    ends[r] = main + width;
    const bare = layer.every((vertex) => vertex.part < 0 || parts[vertex.part].border === "in");
    main += width + (r + 1 < layers.length ? (bare ? Math.min(gap, 26) : Math.max(gap, rooms[r] ?? 0)) : 0);
  });
  const places = parts.map((part, i) => ({ main: (starts[vertices[i].rank] + ends[vertices[i].rank]) / 2, cross: vertices[i].at - low }));
  spread(parts, links, vertices, chains);
  const routes = chains.map(({ chain, turned, first, last }) => {
    const points = [];
    chain.forEach((vertex, k) => {
      const cross = vertex.at - low, middle = vertex.part < 0 ? 0 : places[vertex.part].main, half = vertex.part < 0 ? 0 : parts[vertex.part].main / 2;
      if (k === 0) points.push({ main: middle + half, cross: cross + first }, { main: ends[vertex.rank], cross: cross + first });
      else if (k + 1 === chain.length) points.push({ main: starts[vertex.rank], cross: cross + last }, { main: middle - half, cross: cross + last });
      else points.push({ main: starts[vertex.rank], cross }, { main: ends[vertex.rank], cross });
    });
    return turned ? points.reverse() : points;
  });
  return { main, cross: high - low, places, routes };
}

// Several links at one side of a part stand apart, in the order of where they lead; those of a port stay there.
function spread(parts, links, vertices, chains) {
  const sides = new Map();
  chains.forEach((way, i) => {
    const { chain } = way, start = chain[0], end = chain[chain.length - 1];
    way.first = offsetOf(parts[start.part].outs, links[i].port);
    way.last = offsetOf(parts[end.part].ins, links[i].port);
    if (!parts[start.part].outs && !parts[start.part].border) put(sides, `${start.part} out`, { way, side: "first", there: chain[1].at });
    if (!parts[end.part].ins && !parts[end.part].border) put(sides, `${end.part} in`, { way, side: "last", there: chain[chain.length - 2].at });
  });
  for (const [key, ends] of sides) {
    const room = parts[Number.parseInt(key, 10)].cross - 16;
    const step = ends.length > 1 ? Math.min(PORT_GAP, room / (ends.length - 1)) : 0;
    ends.sort((a, b) => a.there - b.there);
    ends.forEach((end, i) => { end.way[end.side] = (i - (ends.length - 1) / 2) * step; });
  }
}

function put(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
