// The diagram of the services and of the messages between them.

import { STATES } from "./states.js";
import { element } from "./svg.js";

const WIDTH = 190;
const HEIGHT = 96;
const FRONTEND = { x: 186, y: 116 };
const CATALOG = { x: 560, y: 6 };
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
      } else if (name === "catalog") {
        lines.push(delay > 0 ? `${delay} ms delay` : "", open > 0 ? `open sales: ${open}` : "");
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
    const up = (service) => !["down", "paused", "silent"].includes(service?.state);
    const replicas = services.filter(({ replica }) => replica !== null);
    const leader = replicas.find(({ replica, state }) => replica === view?.leader && ["leader", "taking_office"].includes(state));
    const [catalog, frontend] = ["catalog", "frontend"].map((name) => services.find((service) => service.name === name));
    const followers = replicas.filter((replica) => leader && replica !== leader && up(replica));
    const drawn = JSON.stringify([replicas.map(({ name }) => name), leader?.name, followers.map(({ name }) => name), up(catalog), up(frontend), shopping]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;

    const step = (REPLICAS.to - REPLICAS.from) / replicas.length;
    const place = Object.fromEntries(replicas.map(({ name }, index) => [
      name,
      { x: REPLICAS.from + step * (index + 0.5) - WIDTH / 2, y: REPLICAS.y },
    ]));
    this.#box = { customers: new Box(CUSTOMERS), frontend: new Box(FRONTEND), catalog: new Box(CATALOG) };
    for (const { name } of replicas) this.#box[name] = new Box(place[name]);
    this.#boxes.replaceChildren(...Object.values(this.#box).map((box) => box.element));

    const arrows = [];
    const [front, stock] = [FRONTEND, CATALOG];
    if (shopping && up(frontend)) arrows.push(arrow(CUSTOMERS.x + CUSTOMERS.width, 164, front.x, 164, "HTTP", "flows"));
    if (up(frontend) && up(catalog)) {
      arrows.push(arrow(front.x + WIDTH, front.y + 18, stock.x, stock.y + 40, "query", shopping && "flows"));
      arrows.push(arrow(stock.x, stock.y + 74, front.x + WIDTH, front.y + 50, "changes", "quiet"));
    }
    if (leader) {
      const { x, y } = place[leader.name];
      if (up(frontend)) arrows.push(arrow(front.x + WIDTH, front.y + 78, x + 40, y, "buy", shopping && "flows"));
      if (up(catalog)) arrows.push(arrow(x + WIDTH / 2 + 14, y, stock.x + WIDTH / 2, stock.y + HEIGHT, "purchase", shopping && "flows"));
      for (const { name } of followers) arrows.push(bow(x, place[name].x, y + HEIGHT, shopping && "flows"));
    }
    this.#arrows.replaceChildren(...arrows);
  }
}

/** The box of a service. */
class Box {
  element = element("g", {});
  #name = element("text", { x: 14, y: 28, class: "name" });
  #lines = [0, 1, 2].map((line) => element("text", { x: 14, y: 50 + line * 18 }));

  constructor({ x, y, width = WIDTH, height = HEIGHT }) {
    this.element.setAttribute("transform", `translate(${x} ${y})`);
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
