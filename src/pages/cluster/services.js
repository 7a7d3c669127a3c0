// The table of the services, with a button for everything that can be done to one.

import { STATES } from "./states.js";

export class Services {
  #body = document.querySelector("#services tbody");
  #controls;
  #rows = new Map();

  constructor(controls) {
    this.#controls = controls;
  }

  show({ services }) {
    for (const service of services) {
      let row = this.#rows.get(service.name);
      if (!row) {
        row = new Row(service.name, this.#controls);
        this.#rows.set(service.name, row);
        this.#body.append(row.element);
      }
      row.show(service);
    }
  }
}

class Row {
  element = document.createElement("tr");
  #cells = [];
  #badge = document.createElement("span");
  #plug = document.createElement("button");
  #brake = document.createElement("button");
  #name;

  constructor(name, controls) {
    this.#name = name;
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    this.#cells = Array.from({ length: 10 }, () => document.createElement("td"));
    this.element.append(head, ...this.#cells);
    this.#badge.className = "badge";
    this.#cells[0].append(this.#badge);
    this.#cells[9].append(this.#plug, " ", this.#brake);
    for (const button of [this.#plug, this.#brake]) {
      button.type = "button";
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled") !== "true") controls.command(`${button.dataset.verb} ${name}`);
      });
    }
  }

  show({ state, remedy, pid, listen, answers, sessions, log }) {
    this.element.classList.toggle("old", !answers);
    this.#badge.textContent = STATES[state];
    this.#badge.title = remedy ?? "";
    this.#badge.className = `badge state-${state}`;
    const { threads, busy, open, parked, queued } = sessions ?? {};
    const texts = [log?.last, log?.committed, log?.lag, sessions && `${busy} of ${threads}`, open, parked, queued, pid];
    texts.forEach((text, place) => { this.#cells[place + 1].textContent = text ?? ""; });
    this.#cells[8].title = listen;
    this.#label(this.#plug, state === "down" ? "start" : "crash");
    this.#label(this.#brake, state === "paused" ? "continue" : "pause");
    this.#brake.setAttribute("aria-disabled", state === "down");
  }

  /** A button keeps its place, and the focus, when what it does changes. */
  #label(button, verb) {
    if (button.dataset.verb === verb) return;
    button.dataset.verb = verb;
    button.textContent = verb;
    button.setAttribute("aria-label", `${verb} ${this.#name}`);
  }
}
