// The controls of the cluster page. Each sends a command, the same as in the terminal.

import { Failure, ask } from "./ask.js";

export class Controls {
  /** Called after each command. */
  ondone = () => {};

  #said = document.getElementById("said");
  #shoppers = document.getElementById("shoppers");
  #count = document.getElementById("shoppers-count");
  #text = document.getElementById("shoppers-text");
  #slow = document.getElementById("slow");
  #pending = 0;

  constructor() {
    const line = document.getElementById("line");
    this.#shoppers.addEventListener("input", () => { this.#count.textContent = this.#shoppers.value; });
    this.#shoppers.addEventListener("change", () => this.command(`shoppers ${this.#shoppers.value}`));
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

  show({ shoppers, shoppers_max: max, delay_ms: delay }) {
    this.#shoppers.max = max;
    // A control that is being changed is not overwritten.
    if (this.#pending === 0 && document.activeElement !== this.#shoppers) this.#shoppers.value = shoppers.present;
    if (document.activeElement !== this.#shoppers) this.#count.textContent = shoppers.present;
    if (this.#pending === 0) this.#slow.checked = delay > 0;
    const { queries, orders, refused, failed } = shoppers;
    this.#text.textContent = queries === 0
      ? "No shoppers. Start some, then crash a service."
      : `${queries} queries, ${orders} orders, ${refused} refused, ${failed} failed`;
    this.#text.classList.toggle("bad", failed > 0);
  }
}
