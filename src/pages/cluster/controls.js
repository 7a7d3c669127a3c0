// The controls of the cluster page. Each sends a command, the same as in the terminal.

import { Failure, ask } from "./ask.js";

export class Controls {
  /** Called after each command. */
  ondone = () => {};

  #said = document.getElementById("said");
  #customers = document.getElementById("customers");
  #count = document.getElementById("customers-count");
  #text = document.getElementById("customers-text");
  #slow = document.getElementById("slow");
  #pending = 0;

  constructor() {
    const line = document.getElementById("line");
    this.#customers.addEventListener("input", () => { this.#count.textContent = this.#customers.value; });
    this.#customers.addEventListener("change", () => this.command(`customers ${this.#customers.value}`));
    this.#slow.addEventListener("change", () => this.command(this.#slow.checked ? "slow on" : "slow off"));
    document.getElementById("type").addEventListener("submit", (event) => {
      event.preventDefault();
      this.command(line.value || line.placeholder);
      line.value = "";
    });
  }

  /** Sends a command and shows its result. */
  async command(line) {
    this.#pending += 1;
    try {
      this.#said.textContent = await ask("commands", { method: "POST", body: line });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#said.textContent = error.message;
    } finally {
      this.#pending -= 1;
      this.ondone();
    }
  }

  show({ customers, customers_max: max, delay_ms: delay }) {
    this.#customers.max = max;
    // A control that is being changed is not overwritten.
    if (this.#pending === 0 && document.activeElement !== this.#customers) this.#customers.value = customers.present;
    if (document.activeElement !== this.#customers) this.#count.textContent = customers.present;
    if (this.#pending === 0) this.#slow.checked = delay > 0;
    const { queries, orders, refused, failed } = customers;
    this.#text.textContent = queries === 0
      ? "No customers. Start some, then crash a service."
      : `${queries} queries, ${orders} orders, ${refused} refused, ${failed} failed`;
    this.#text.classList.toggle("bad", failed > 0);
  }
}
