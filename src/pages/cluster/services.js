// The table of the services, with buttons for the commands.

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
  #crashOrStart = document.createElement("button");
  #pauseOrContinue = document.createElement("button");
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
    this.#cells[9].append(this.#crashOrStart, " ", this.#pauseOrContinue);
    for (const button of [this.#crashOrStart, this.#pauseOrContinue]) {
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
    this.#label(this.#crashOrStart, state === "down" ? "start" : "crash");
    this.#label(this.#pauseOrContinue, state === "paused" ? "continue" : "pause");
    this.#pauseOrContinue.setAttribute("aria-disabled", state === "down");
  }

  /** Changes the command of a button. The button keeps its position and the focus. */
  #label(button, verb) {
    if (button.dataset.verb === verb) return;
    button.dataset.verb = verb;
    button.textContent = verb;
    button.setAttribute("aria-label", `${verb} ${this.#name}`);
  }
}
