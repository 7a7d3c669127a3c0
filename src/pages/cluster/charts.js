// Rates and latencies of the last two minutes, as small charts.

import { element } from "./svg.js";

const REACH_MS = 120_000;
const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [420, 150, 52, 10, 18];

/** Samples further apart than this are not joined: there was no answer in between. */
const GAP_MS = 2_000;

const percentiles = (kind) => ["p50", "p95", "p99"].map((name) => ({
  name,
  value: (sample) => sample[kind][`${name}_ms`],
}));

const CHARTS = [
  {
    title: "Requests per second",
    lines: [
      { name: "queries", value: ({ query }) => query.per_s },
      { name: "purchases", value: ({ buy }) => buy.per_s },
      { name: "failed", value: ({ failed_per_s: failed }) => failed },
    ],
    scale: linear,
    show: (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`,
  },
  { title: "Latency of queries", lines: percentiles("query"), scale: logarithmic, show: milliseconds },
  { title: "Latency of purchases", lines: percentiles("buy"), scale: logarithmic, show: milliseconds },
];

export class Charts {
  /** The time of the last sample that was received. */
  last = 0;

  #samples = [];
  #charts = CHARTS.map((chart) => new Chart(chart));

  constructor() {
    document.querySelector("#speed .charts").append(...this.#charts.map((chart) => chart.element));
  }

  show({ samples, unix_ms: now }) {
    this.#samples.push(...samples);
    if (samples.length > 0) this.last = samples.at(-1).unix_ms;
    this.#samples = this.#samples.filter((sample) => sample.unix_ms > now - REACH_MS);
    for (const chart of this.#charts) chart.show(this.#samples, now);
  }
}

class Chart {
  element = document.createElement("figure");
  #kind;
  #svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  #values;

  constructor(kind) {
    this.#kind = kind;
    const caption = document.createElement("figcaption");
    const title = document.createElement("h3");
    title.textContent = kind.title;
    const legend = document.createElement("ul");
    this.#values = kind.lines.map(({ name }, place) => {
      const item = document.createElement("li");
      item.className = `line-${place}`;
      const value = document.createElement("b");
      item.append(name, " ", value);
      legend.append(item);
      return value;
    });
    caption.append(title, legend);
    this.element.append(caption, this.#svg);
  }

  show(samples, now) {
    const { lines, scale, show } = this.#kind;
    const values = samples.flatMap((sample) => lines.map(({ value }) => value(sample))).filter((value) => value !== null);
    const { marks, share } = scale(values);
    const x = (ms) => LEFT + (WIDTH - LEFT) * (1 - (now - ms) / REACH_MS);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - share(value));
    const axes = marks.flatMap((mark) => [
      element("line", { class: "mark", x1: LEFT, x2: WIDTH, y1: y(mark), y2: y(mark) }),
      label(LEFT - 6, y(mark) + 4, "end", show(mark)),
    ]);
    axes.push(label(LEFT, HEIGHT - 3, "start", "2 minutes ago"), label(WIDTH - 2, HEIGHT - 3, "end", "now"));
    const drawn = lines.map(({ value }, place) => element("path", {
      class: `line-${place}`,
      d: path(samples, (sample) => [x(sample.unix_ms), value(sample) === null ? null : y(value(sample))]),
    }));
    this.#svg.replaceChildren(...axes, ...drawn);
    const newest = samples.at(-1);
    lines.forEach(({ value }, place) => {
      const last = newest && value(newest);
      this.#values[place].textContent = last === null || last === undefined ? "–" : show(last);
    });
  }
}

/** A line through the samples, with gaps where samples are missing. */
function path(samples, point) {
  let [commands, before] = ["", null];
  for (const sample of samples) {
    const [x, y] = point(sample);
    if (y !== null) {
      const joined = before !== null && sample.unix_ms - before < GAP_MS;
      commands += `${joined ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}${joined ? "" : "h0.1"}`;
      before = sample.unix_ms;
    }
  }
  return commands;
}

/** A scale from 0 to a round number above all values. */
function linear(values) {
  const most = Math.max(10, ...values);
  const unit = 10 ** Math.floor(Math.log10(most));
  const top = [1, 2, 5, 10].map((factor) => factor * unit).find((round) => round >= most);
  return { marks: [0, top / 2, top], share: (value) => value / top };
}

/** A scale of powers of ten around all values, so that latencies of microseconds and of seconds are both visible. */
function logarithmic(values) {
  const [least, most] = values.length === 0 ? [0.1, 10] : [Math.max(0.001, Math.min(...values)), Math.max(...values)];
  const [from, to] = [Math.floor(Math.log10(least)), Math.max(Math.ceil(Math.log10(most)), Math.floor(Math.log10(least)) + 1)];
  const marks = Array.from({ length: to - from + 1 }, (_, step) => 10 ** (from + step));
  return { marks, share: (value) => (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from) };
}

function milliseconds(value) {
  if (value >= 1_000) return `${+(value / 1_000).toPrecision(2)} s`;
  return value < 1 ? `${+(value * 1_000).toPrecision(2)} µs` : `${+value.toPrecision(2)} ms`;
}

function label(x, y, anchor, text) {
  const made = element("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}
