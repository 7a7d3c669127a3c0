// The slip below a toy: shows the state of its purchase, up to the order number.
//
//   buy ──▶ asking ──▶ bought
//             │  ▲ └──▶ refused
//  no answer  ▼  │ "Try again", same key
//          waiting ──"Cancel", or too long──▶ stopped ──"Dismiss"──▶ nothing

import { Failure, ask } from "./ask.js";
import { buy, newKey } from "./purchase.js";
import { forgetPurchase, rememberOrder, rememberPurchase, visit } from "./visit.js";

/** After this time without an answer, a message and a cancel button are shown. */
const SLOW_MS = 1500;

/** One purchase at a time, of one toy. */
export class Slip {
  /** One of the states in the diagram above. */
  state = "nothing";
  #place;
  #name;
  #changed;

  /** Shows itself in `place`, which screen readers read when it changes. Calls `changed` when its state has changed. */
  constructor(place, name, changed) {
    this.#place = place;
    this.#name = name;
    this.#changed = changed;
  }

  /** Buys this quantity, which costs `cost`. */
  buy(quantity, cost) {
    const purchase = { name: this.#name, quantity, cost, key: newKey() };
    rememberPurchase(purchase);
    this.#ask(purchase);
  }

  /** Shows a purchase that was in progress when the page was left, if there is one, as stopped. */
  resume() {
    const purchase = visit.unfinished.find(({ name }) => name === this.#name);
    if (purchase) this.#stopped(purchase);
  }

  async #ask(purchase) {
    const stop = new AbortController();
    const cancel = button("Cancel", () => stop.abort());
    this.#show("asking", []);
    const slow = setTimeout(() => {
      this.#show("asking", [paragraph("Waiting for the store…"), cancel]);
    }, SLOW_MS);
    const waiting = () => {
      clearTimeout(slow);
      const words = "The store is not answering. Your order is safe: we keep trying with the same key.";
      if (this.state !== "waiting") this.#show("waiting", [paragraph(words), cancel]);
    };
    try {
      const number = await buy(purchase, stop.signal, waiting);
      forgetPurchase(purchase);
      this.#bought(purchase, number);
    } catch (error) {
      if (stop.signal.aborted || error.isPassing) return this.#stopped(purchase);
      if (!(error instanceof Failure)) throw error;
      forgetPurchase(purchase);
      this.#show("refused", [paragraph(await reason(purchase, error))]);
    } finally {
      clearTimeout(slow);
    }
  }

  #bought({ name, quantity, cost }, number) {
    rememberOrder({ number, name, quantity });
    const title = paragraph(`Order ${number}`);
    title.className = "number";
    const link = document.createElement("a");
    link.href = `#order-${number}`;
    link.textContent = "Show order";
    this.#show("bought", [title, paragraph(`${quantity} × ${name}, ${cost}`), link]);
  }

  #stopped(purchase) {
    const words =
      `The store may have received your order of ${purchase.quantity}, or not. ` +
      "Trying again is safe: the same key never buys twice.";
    const again = button("Try again", () => this.#ask(purchase));
    const forget = button("Dismiss", () => {
      forgetPurchase(purchase);
      this.#show("nothing", []);
    });
    this.#show("stopped", [paragraph(words), again, forget]);
  }

  /** If a button with the focus is removed, the focus moves to the next button, or to the card's own button. */
  #show(state, children) {
    const hadFocus = this.#place.contains(document.activeElement);
    this.state = state;
    this.#place.dataset.state = state;
    this.#place.replaceChildren(...children);
    this.#changed();
    if (hadFocus) {
      const next = this.#place.querySelector("a, button") ?? this.#place.parentElement.querySelector(".buy");
      next.focus();
    }
  }
}

/** Why the store refused the purchase. */
async function reason({ name, quantity }, failure) {
  if (failure.status === 404) return `The store does not sell ${name} any more.`;
  if (failure.status !== 409) return `The store did not accept this order: ${failure.message}.`;
  try {
    const { quantity: left } = await ask(`products/${encodeURIComponent(name)}`);
    if (left === 0) return "Sold out: another customer bought the last one.";
    if (left < quantity) return `There are only ${left} left.`;
    return `There were not enough a moment ago. Now there are ${left}.`;
  } catch {
    return "Not enough are left.";
  }
}

function paragraph(text) {
  const element = document.createElement("p");
  element.textContent = text;
  return element;
}

function button(text, press) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", press);
  return element;
}
