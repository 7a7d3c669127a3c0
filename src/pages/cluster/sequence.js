// The sequence diagram of a trace: a lane for each service, time downward, true to scale.

import { element } from "./svg.js";

const [WIDTH, LEFT, TOP, HEIGHT, BOTTOM] = [900, 84, 52, 620, 20];
const BAR = 12;
const LABEL = 15;

export class Sequence {
  #svg;
  #cursor = element("line", { class: "cursor", x1: LEFT - 20, x2: WIDTH });
  #drawn = [];
  #took = 1;

  constructor(svg) {
    this.#svg = svg;
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${TOP + HEIGHT + BOTTOM}`);
  }

  /** Draws a trace. */
  show({ spans, path }) {
    this.#took = Math.max(spans[0].to, 1);
    const lanes = lanesOf(spans);
    const step = (WIDTH - LEFT) / lanes.length;
    const x = ({ service }) => LEFT + step * (lanes.indexOf(service) + 0.5);
    const bars = element("g", {});
    const arrows = element("g", { class: "arrows" });
    const labels = new Labels();
    this.#drawn = spans.map((span, index) => {
      const group = element("g", {});
      if (span.kind === "call") this.#call(group, arrows, labels, span, spans.filter(({ part_of: of }) => of === index)[0], x);
      else bars.append(this.#bar(group, span, x(span) + (BAR / 2) * localDepth(spans, index)));
      return group;
    });
    const critical = path.map(({ span, from, to }) => element("line", {
      class: "critical", x1: x(spans[span]) - BAR, x2: x(spans[span]) - BAR, y1: this.#y(from), y2: this.#y(to),
    }));
    this.#svg.replaceChildren(this.#svg.querySelector("title"), ...this.#axis(), ...lanes.flatMap((service) => this.#lane(x({ service }), service)), bars, ...critical, arrows, this.#cursor);
    this.moveTo(this.#took);
  }

  /** Shows what was begun until this moment, and marks one span. */
  moveTo(moment, marked = -1) {
    const y = this.#y(moment);
    this.#cursor.setAttribute("y1", y);
    this.#cursor.setAttribute("y2", y);
    this.#drawn.forEach((group, index) => {
      group.classList.toggle("later", Number(group.dataset.from) > moment);
      group.classList.toggle("marked", index === marked);
    });
  }

  /** Background may have begun before the purchase, or end after it. */
  #y(moment) {
    return TOP + HEIGHT * Math.min(Math.max(moment / this.#took, 0), 1);
  }

  #axis() {
    const most = this.#took / 1e6;
    const unit = 10 ** Math.floor(Math.log10(most));
    const every = [1, 2, 5].map((factor) => factor * unit / 5).find((size) => most / size <= 12) ?? unit;
    const marks = Array.from({ length: Math.floor(most / every) + 1 }, (_, count) => count * every);
    return marks.flatMap((ms) => {
      const y = this.#y(ms * 1e6);
      return [element("line", { class: "mark", x1: LEFT - 20, x2: WIDTH, y1: y, y2: y }), text(LEFT - 26, y + 4, `${+ms.toPrecision(3)} ms`, "end")];
    });
  }

  #lane(x, service) {
    const name = text(x, 28, service, "middle");
    name.setAttribute("class", "name");
    return [name, element("line", { class: "lane", x1: x, x2: x, y1: TOP - 12, y2: TOP + HEIGHT })];
  }

  #bar(group, span, x) {
    const [from, to] = [this.#y(span.from), this.#y(span.to)];
    group.dataset.from = span.from;
    group.setAttribute("class", `span kind-${span.kind}`);
    group.append(element("rect", { x: x - BAR / 2, y: from, width: BAR, height: Math.max(to - from, 1.5), rx: 2 }));
    return group;
  }

  /** The call and its answer, or a cross if there is none. */
  #call(group, arrows, labels, span, request, x) {
    group.dataset.from = span.from;
    group.setAttribute("class", span.error ? "failed" : "still");
    const here = x(span);
    const there = request ? x(request) : here + 60;
    const aside = BAR * Math.sign(there - here);
    const [began, arrived] = [this.#y(span.from), this.#y(request?.from ?? span.from)];
    const answered = this.#y(span.to);
    group.append(element("path", { d: `M${here + aside} ${began} L${there - aside} ${arrived}`, "marker-end": "url(#head)" }));
    if (request) {
      const back = element("path", { class: "answer", d: `M${there - aside} ${this.#y(request.to)} L${here + aside} ${answered}`, "marker-end": "url(#head)" });
      group.append(back);
    }
    const word = span.error ? `${span.name} ✗` : span.name;
    const y = labels.free((here + there) / 2, (began + arrived) / 2 - 5);
    if (y !== null) group.append(text((here + there) / 2, y, word, "middle"));
    arrows.append(group);
  }
}

/** Labels that do not cover each other. */
class Labels {
  #taken = [];

  /** Where a label can be, at this place or a little below; null if nowhere. */
  free(x, y) {
    for (const below of [y, y + LABEL, y + 2 * LABEL]) {
      if (this.#taken.every((other) => Math.abs(other.x - x) > 70 || Math.abs(other.y - below) >= LABEL)) {
        this.#taken.push({ x, y: below });
        return below;
      }
    }
    return null;
  }
}

/** The services from left to right: front-end, leader, catalog, the others. */
function lanesOf(spans) {
  const leaders = spans.filter(({ kind, name }) => kind === "request" && name === "buy").map(({ service }) => service);
  const first = ["front-end", ...leaders.reverse(), "catalog"];
  return [...new Set([...first, ...spans.map(({ service }) => service).sort()])].filter((lane) => spans.some(({ service }) => service === lane));
}

/** Inside how many spans of its own service a span is drawn. */
function localDepth(spans, index) {
  const { service, part_of: above } = spans[index];
  if (above === null || spans[above].service !== service) return 0;
  return localDepth(spans, above) + (spans[above].kind === "call" ? 0 : 1);
}

function text(x, y, words, anchor) {
  const made = element("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}
