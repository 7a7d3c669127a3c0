// The diagram of the services and of the messages between them.

import { STATES } from "./states.js";
import { element } from "./svg.js";

const WIDTH = 190;
const HEIGHT = 96;
/** The front-ends share this column. */
const FRONTENDS = { x: 186, from: 116, top: 6, bottom: 236, gap: 8 };
/** The catalogs share this row. */
const CATALOGS = { from: 560, to: 962, y: 6, gap: 16 };
const CUSTOMERS = { x: 2, y: 132, width: 124, height: 64 };
const REPLICAS = { from: 344, to: 962, y: 244 };

export class Diagram {
  #svg = document.querySelector("#map svg");
  #title = document.getElementById("map-text");
  #arrows = element("g", { class: "arrows" });
  #boxes = element("g", {});
  #drawn = "";
  #box = {};

  constructor() {
    const head = element("marker", { id: "head", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
    head.append(element("path", { d: "M0 0 8 4 0 8z" }));
    const definitions = element("defs", {});
    definitions.append(head);
    this.#svg.append(definitions, this.#arrows, this.#boxes);
  }

  show(state) {
    const { services, view, customers, delay_ms: delay, open_sales: open } = state;
    this.#place(services, view, customers.present > 0);
    for (const service of services) {
      const { name, state: is, log, sessions } = service;
      const lines = [STATES[is]];
      if (log) {
        lines.push(`last ${log.last}, committed ${log.committed}`);
        if (log.lag > 0) lines.push(`${log.lag} behind`);
      } else if (name.startsWith("catalog")) {
        if (is !== "standby") lines.push(delay > 0 ? `${delay} ms delay` : "", open > 0 ? `open sales: ${open}` : "");
      } else if (sessions) {
        lines.push(`${sessions.busy} of ${sessions.threads} threads busy`);
      }
      this.#box[name].show(is === "leader" ? `★ ${name}` : name, lines.filter(Boolean), is);
    }
    this.#box.customers.show("customers", [customers.present === 0 ? "none" : `${customers.present} active`], "up");
    const text = services.map(({ name, state: is }) => `${name}: ${STATES[is]}`).join(", ");
    if (this.#title.textContent !== text) this.#title.textContent = text;
  }

  /** Redraws boxes and arrows if they have changed. */
  #place(services, view, shopping) {
    const up = (service) => service && !["down", "paused", "silent", "standby"].includes(service.state);
    const replicas = services.filter(({ replica }) => replica !== null);
    const leader = replicas.find(({ replica, state }) => replica === view?.leader && ["leader", "taking_office"].includes(state));
    const catalogs = services.filter(({ name }) => name.startsWith("catalog"));
    const active = catalogs.findIndex(up);
    const frontends = services.filter(({ name }) => name.startsWith("frontend"));
    const followers = replicas.filter((replica) => leader && replica !== leader && up(replica));
    const drawn = JSON.stringify([replicas.map(({ name }) => name), leader?.name, followers.map(({ name }) => name), active, frontends.map((frontend) => [frontend.name, up(frontend)]), shopping]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;

    const step = (REPLICAS.to - REPLICAS.from) / replicas.length;
    const place = Object.fromEntries(replicas.map(({ name }, index) => [
      name,
      { x: REPLICAS.from + step * (index + 0.5) - WIDTH / 2, y: REPLICAS.y },
    ]));
    this.#box = { customers: new Box(CUSTOMERS) };
    const stocks = row(catalogs.length);
    catalogs.forEach(({ name }, index) => { this.#box[name] = new Box(stocks[index]); });
    const fronts = column(frontends.length);
    frontends.forEach(({ name }, index) => { this.#box[name] = new Box(fronts[index]); });
    for (const { name } of replicas) this.#box[name] = new Box(place[name]);
    this.#boxes.replaceChildren(...Object.values(this.#box).map((box) => box.element));

    const arrows = [];
    const stock = stocks[active];
    frontends.forEach((frontend, index) => {
      if (!up(frontend)) return;
      const { x, y, height } = fronts[index];
      const [right, at] = [x + WIDTH, (part) => y + height * part];
      // The words are the same at each; they are written once.
      const word = (text) => (index === 0 ? text : "");
      if (shopping) arrows.push(arrow(CUSTOMERS.x + CUSTOMERS.width, 164, x, at(0.5), word("HTTP"), "flows"));
      if (stock) {
        arrows.push(arrow(right, at(0.19), stock.x, stock.y + 40, word("query"), shopping && "flows"));
        arrows.push(arrow(stock.x, stock.y + 74, right, at(0.52), word("changes"), "quiet"));
      }
      if (leader) {
        const { x: to, y: top } = place[leader.name];
        arrows.push(arrow(right, at(0.81), to + 40, top, word("buy"), shopping && "flows"));
      }
    });
    if (leader) {
      const { x, y } = place[leader.name];
      if (stock) arrows.push(arrow(x + WIDTH / 2 + 14, y, stock.x + stock.width / 2, stock.y + HEIGHT, "purchase", shopping && "flows"));
      for (const { name } of followers) arrows.push(bow(x, place[name].x, y + HEIGHT, shopping && "flows"));
    }
    this.#arrows.replaceChildren(...arrows);
  }
}

/** The places of so many front-ends, one below the other. */
function column(count) {
  const { x, from, top, bottom, gap } = FRONTENDS;
  if (count < 2) return [{ x, y: from, height: HEIGHT }];
  const height = Math.min(HEIGHT, (bottom - top + gap) / count - gap);
  return Array.from({ length: count }, (_, index) => ({ x, y: top + index * (height + gap), height }));
}

/** The places of so many catalogs, one beside the other. */
function row(count) {
  const { from, to, y, gap } = CATALOGS;
  const width = Math.min(WIDTH, (to - from + gap) / count - gap);
  return Array.from({ length: count }, (_, index) => ({ x: from + index * (width + gap), y, width }));
}

/** The box of a service. */
class Box {
  element = element("g", {});
  #name = element("text", { x: 14, y: 28, class: "name" });
  #lines;

  constructor({ x, y, width = WIDTH, height = HEIGHT }) {
    this.element.setAttribute("transform", `translate(${x} ${y})`);
    // Of many front-ends each box is low.
    const heights = [50, 68, 86].filter((y) => y < height - 3);
    this.#lines = heights.map((y) => element("text", { x: 14, y }));
    this.element.append(element("rect", { width, height, rx: 14 }), this.#name, ...this.#lines);
  }

  show(name, lines, state) {
    this.element.setAttribute("class", `box state-${state}`);
    this.#name.textContent = name;
    this.#lines.forEach((line, place) => { line.textContent = lines[place] ?? ""; });
  }
}

/** A straight arrow with its label. */
function arrow(x1, y1, x2, y2, word, kind) {
  const group = element("g", { class: kind || "still" });
  const text = element("text", { x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 7, "text-anchor": "middle" });
  text.textContent = word;
  group.append(element("path", { d: `M${x1} ${y1} L${x2} ${y2}`, "marker-end": "url(#head)" }), text);
  return group;
}

/** A curved arrow from the leader to a follower, below their boxes. */
function bow(from, to, y, kind) {
  const group = element("g", { class: kind || "still" });
  const isNext = Math.abs(to - from) < 2 * WIDTH;
  const [away, depth] = isNext ? [36, 36] : [64, 70];
  const [start, end] = from < to ? [from + WIDTH - away, to + 36] : [from + away, to + WIDTH - 36];
  const text = element("text", { x: (start + end) / 2, y: y + depth * 0.75 + 4, "text-anchor": "middle" });
  text.textContent = "append";
  group.append(element("path", { d: `M${start} ${y} C${start} ${y + depth} ${end} ${y + depth} ${end} ${y + 2}`, "marker-end": "url(#head)" }), text);
  return group;
}
