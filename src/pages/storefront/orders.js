// Orders: looks one up by its number, also by the page's address (`#order-7`), and lists those of this visit.

import { Failure, ask } from "./ask.js";
import { visit } from "./visit.js";

/** The part of the page about orders. */
export class Orders {
  #found = document.getElementById("found");
  #own = document.getElementById("own");
  #looking;

  constructor() {
    const form = document.getElementById("look-up");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const hash = `#order-${form.elements.number.value.trim()}`;
      if (location.hash === hash) this.#lookUpAddress();
      else location.hash = hash;
    });
    window.addEventListener("hashchange", () => this.#lookUpAddress());
    this.#lookUpAddress();
    this.showOwn();
  }

  #lookUpAddress() {
    const [, number] = location.hash.match(/^#order-([0-9]+)$/) ?? [];
    if (number) this.#lookUp(number);
  }

  /** Looks up an order. An earlier lookup that is still in progress is cancelled. */
  async #lookUp(number) {
    this.#looking?.abort();
    this.#looking = new AbortController();
    const { signal } = this.#looking;
    this.#found.textContent = `Looking for order ${number}…`;
    this.#found.focus();
    try {
      const { name, quantity } = await ask(`orders/${number}`, { signal });
      this.#found.textContent = `Order ${number}: ${quantity} × ${name}`;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Failure)) throw error;
      this.#found.textContent = reason(error, number);
    }
  }

  /** Lists the orders of this visit. */
  showOwn() {
    const items = visit.orders.map(({ number, name, quantity }) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `#order-${number}`;
      link.textContent = `Order ${number}`;
      item.append(link, ` ${quantity} × ${name}`);
      return item;
    });
    this.#own.hidden = items.length === 0;
    this.#own.querySelector("ul").replaceChildren(...items);
  }
}

/** The text for a failed lookup. */
function reason(failure, number) {
  if (failure.status === 404) return `There is no order ${number}.`;
  if (failure.status === 400) return `${number} is not an order number: order numbers start at 1.`;
  return "The store is not answering. Please try again in a moment.";
}
