// The life of a purchase: its trace, drawn to scale, and explained step by step.

import { Failure, Poll, ask } from "./ask.js";
import { EXPLANATIONS, RETRY } from "./explanations.js";
import { Sequence } from "./sequence.js";

/** While traces are asked for this often, the store traces every purchase. */
const EVERY_MS = 2_000;
/** In slow motion the whole purchase takes this long. */
const SLOWLY_MS = 15_000;

export class Life {
  #sequence = new Sequence(document.querySelector("#life svg"));
  #which = document.getElementById("life-which");
  #number = document.getElementById("life-number");
  #follow = document.getElementById("life-follow");
  #text = document.getElementById("life-text");
  #steps = document.getElementById("life-steps");
  #why = document.getElementById("life-why");
  #play = document.getElementById("life-play");
  #trace = null;
  /** The spans in the order of their begin, as indexes. */
  #order = [];
  #at = -1;
  #playing = 0;
  /** Raised with each question and each step: an answer to an earlier question is not shown. */
  #asked = 0;

  constructor() {
    const poll = new Poll(() => this.#follow.checked && this.#load(), EVERY_MS);
    const now = () => this.#load();
    this.#which.addEventListener("change", () => {
      this.#number.disabled = this.#which.value !== "order";
      if (this.#number.disabled) now();
      else this.#number.focus();
    });
    this.#number.addEventListener("change", now);
    this.#follow.addEventListener("change", () => poll.now());
    document.getElementById("life-choice").addEventListener("submit", (event) => {
      event.preventDefault();
      now();
    });
    document.getElementById("life-back").addEventListener("click", () => this.#go(this.#at - 1));
    document.getElementById("life-next").addEventListener("click", () => this.#go(this.#at + 1));
    this.#play.addEventListener("click", () => (this.#playing ? this.#stop() : this.#start()));
    this.#steps.addEventListener("keydown", (event) => this.#key(event));
    this.#steps.addEventListener("click", ({ target }) => {
      const step = target.closest("li");
      if (step) this.#go([...this.#steps.children].indexOf(step));
    });
  }

  /** Asks for the chosen trace, and shows it if it is another one. */
  async #load() {
    const which = this.#which.value === "order" ? this.#number.value : this.#which.value;
    if (which === "") return;
    this.#asked += 1;
    const asked = this.#asked;
    try {
      const trace = await ask(`traces/${encodeURIComponent(which)}`);
      if (asked !== this.#asked) return;
      const isSame = this.#trace?.id === trace.id && this.#trace.spans.length === trace.spans.length;
      if (!isSame) this.#show(trace);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (asked !== this.#asked) return;
      if (this.#trace === null || !this.#follow.checked) this.#say(error.message);
    }
  }

  #show(trace) {
    this.#stop();
    this.#trace = trace;
    const { spans, path } = trace;
    const clocks = spans.filter(({ moved }) => moved !== 0).map(({ service, moved }) => `${service} ${ms(moved)}`);
    this.#say([
      `${title(spans[0])}: ${ms(spans[0].to)} on ${new Set(spans.map(({ service }) => service)).size} services.`,
      clocks.length > 0 ? `Clocks moved: ${[...new Set(clocks)].join(", ")}.` : "",
      trace.silent.length > 0 ? `No answer, so their spans are missing: ${trace.silent.join(", ")}.` : "",
    ].filter(Boolean).join(" "));
    document.getElementById("life-title-text").textContent = this.#text.textContent;
    this.#sequence.show(trace);
    this.#order = spans.map((_, index) => index).sort((one, other) => spans[one].from - spans[other].from || one - other);
    const onPath = new Set(path.map(({ span }) => span));
    this.#steps.replaceChildren(...this.#order.map((index, place) => step(spans[index], place, onPath.has(index))));
    this.#at = -1;
    this.#why.textContent = "Choose a step, or play the purchase slowly.";
  }

  #say(words) {
    if (this.#text.textContent !== words) this.#text.textContent = words;
  }

  /** The trace that is stepped through stays. */
  #keep() {
    this.#follow.checked = false;
    this.#asked += 1;
  }

  /** Goes to a step. */
  #go(place) {
    if (this.#order.length === 0) return;
    this.#stop();
    this.#keep();
    this.#mark(Math.min(Math.max(place, 0), this.#order.length - 1));
  }

  #mark(place) {
    const before = this.#steps.children[this.#at];
    this.#at = place;
    const span = this.#trace.spans[this.#order[place]];
    const now = this.#steps.children[place];
    before?.setAttribute("aria-selected", "false");
    now.setAttribute("aria-selected", "true");
    this.#steps.setAttribute("aria-activedescendant", now.id);
    this.#steps.scrollTop = now.offsetTop - this.#steps.offsetTop - this.#steps.clientHeight / 2;
    const why = span.error && span.kind === "call" ? `It failed: ${span.error}. ${RETRY}` : EXPLANATIONS[span.name];
    this.#why.textContent = `${span.service}, ${span.name}: ${ms(span.to - span.from)}. ${why ?? ""}`;
    this.#sequence.moveTo(span.from, this.#order[place]);
  }

  #key(event) {
    const to = { ArrowDown: this.#at + 1, ArrowUp: this.#at - 1, Home: 0, End: this.#order.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#go(to);
  }

  #start() {
    if (this.#trace === null) return;
    this.#keep();
    this.#play.textContent = "Stop";
    const begun = performance.now();
    const took = this.#trace.spans[0].to;
    const frame = (now) => {
      const moment = ((now - begun) / SLOWLY_MS) * took;
      if (moment >= took) {
        this.#stop();
        return;
      }
      const place = this.#order.findLastIndex((index) => this.#trace.spans[index].from <= moment);
      if (place !== this.#at && place >= 0) this.#mark(place);
      this.#sequence.moveTo(moment, this.#order[place]);
      this.#playing = requestAnimationFrame(frame);
    };
    this.#playing = requestAnimationFrame(frame);
  }

  #stop() {
    if (this.#playing) cancelAnimationFrame(this.#playing);
    this.#playing = 0;
    this.#play.textContent = "Play slowly";
  }
}

/** What the trace is of. */
function title({ kind, name, notes }) {
  if (kind === "background") return name[0].toUpperCase() + name.slice(1);
  const number = notes?.find(([note]) => note === "order.number")?.[1];
  return number === undefined ? "A purchase that failed" : `Order ${number}`;
}

/** A step in the list. */
function step(span, place, isOnPath) {
  const item = document.createElement("li");
  item.id = `life-step-${place}`;
  item.role = "option";
  item.setAttribute("aria-selected", "false");
  item.classList.toggle("on-path", isOnPath);
  const time = document.createElement("small");
  time.textContent = `${ms(span.from)} + ${ms(span.to - span.from)}`;
  const word = span.kind === "call" ? `call ${span.name}` : span.name;
  item.append(`${span.service}: ${word}${span.error ? " ✗" : ""} `, time);
  if (isOnPath) {
    const path = document.createElement("b");
    path.textContent = " critical";
    item.append(path);
  }
  return item;
}

function ms(nanos) {
  return `${(nanos / 1e6).toFixed(2)} ms`;
}
