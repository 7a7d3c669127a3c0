// The slip below a toy: how its purchase goes, in words, up to the order number.
//
//   buy ──▶ asking ──▶ bought
//             │  ▲ └──▶ refused
//    silence  ▼  │ "Try again", same key
//          waiting ──"Cancel", or too long──▶ stopped ──"Dismiss"──▶ nothing

import { Failure, ask } from "./ask.js";
import { buy, newKey } from "./purchase.js";
import { forgetPurchase, rememberOrder, rememberPurchase, visit } from "./visit.js";

/** Most answers come at once. One that does not is worth a word, and a way out. */
const SLOW_MS = 1500;

/** One purchase at a time, of one toy. */
export class Slip {
  /** One of those above. */
  state = "nothing";
  #place;
  #name;
  #changed;

  /** Shows itself in `place`, which is read aloud when it changes. Calls `changed` when its state has. */
  constructor(place, name, changed) {
    this.#place = place;
    this.#name = name;
    this.#changed = changed;
  }

  /** Buys so many, for so much. */
  buy(quantity, cost) {
    const purchase = { name: this.#name, quantity, cost, key: newKey() };
    rememberPurchase(purchase);
    this.#ask(purchase);
  }

  /** Takes up the purchase that was under way when the page was left, if there is one. */
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
      `The store may have your order of ${purchase.quantity}, or not. ` +
      "Trying again is safe: the same key never buys twice.";
    const again = button("Try again", () => this.#ask(purchase));
    const forget = button("Dismiss", () => {
      forgetPurchase(purchase);
      this.#show("nothing", []);
    });
    this.#show("stopped", [paragraph(words), again, forget]);
  }

  /** Whoever has pressed a button that goes away finds the focus on the next one, or at the card's own. */
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

/** Why the store said no. */
async function reason({ name, quantity }, failure) {
  if (failure.status === 404) return `The store does not sell ${name} any more.`;
  if (failure.status !== 409) return `The store did not accept this order: ${failure.message}.`;
  try {
    const { quantity: left } = await ask(`products/${encodeURIComponent(name)}`);
    if (left === 0) return "Sold out: another customer bought the last one.";
    if (left < quantity) return `There are only ${left} left.`;
    return `There were too few a moment ago. Now there are ${left}.`;
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
