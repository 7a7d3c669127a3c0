// The shelf: a card for each toy, with its picture, price, stock and the quantity to buy.

import { pictureOf } from "./picture.js";
import { Slip } from "./slip.js";

/** A stock of at most this many is shown as "only N left". */
const FEW = 5;

const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const count = new Intl.NumberFormat("en-US");

/** All cards, by the toys' names. */
export class Shelf {
  #place = document.getElementById("shelf");
  #cards = new Map();
  #bought;

  /** Calls `bought` after each purchase. */
  constructor(bought) {
    this.#bought = bought;
  }

  /** Adds new toys and updates all of them. */
  show(toys) {
    for (const toy of toys) {
      let card = this.#cards.get(toy.name);
      if (!card) {
        card = new Card(toy, this.#bought);
        this.#cards.set(toy.name, card);
        this.#place.append(card.element);
      }
      card.show(toy);
    }
  }
}

class Card {
  element = document.getElementById("card").content.firstElementChild.cloneNode(true);
  #toy;
  #slip;
  #bought;

  constructor(toy, bought) {
    this.#toy = toy;
    const { name } = toy;
    this.#find("use").setAttribute("href", `assets/toys.svg#${pictureOf(name)}`);
    this.#find("h3").textContent = name;
    this.#find(".buy .unseen").textContent = ` ${name}`;
    this.#find("input").setAttribute("aria-label", `How many of ${name}`);
    this.#press(".less", `One ${name} less`, (input) => input.valueAsNumber > 1 && input.stepDown());
    this.#press(".more", `One ${name} more`, (input) => input.valueAsNumber < this.#toy.quantity && input.stepUp());
    this.#find("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#buy(this.#find("input").valueAsNumber);
    });
    this.#bought = bought;
    this.#slip = new Slip(this.#find(".slip"), name, () => this.#slipChanged());
    this.#slip.resume();
  }

  /** Shows price and stock. Unchanged elements are not written, so that they do not flicker. */
  show(toy) {
    this.#toy = toy;
    const { price, quantity } = toy;
    const few = quantity <= FEW ? `only ${quantity} left` : `${count.format(quantity)} in stock`;
    this.#write(".price", money.format(price));
    this.#write(".stock", quantity === 0 ? "none left" : few);
    this.element.classList.toggle("few", quantity > 0 && quantity <= FEW);
    this.element.classList.toggle("sold-out", quantity === 0);
    this.#showButton();
  }

  #buy(quantity) {
    if (this.#find(".buy").ariaDisabled === "true") return;
    this.#slip.buy(quantity, money.format(this.#toy.price * quantity));
  }

  #slipChanged() {
    this.#showButton();
    if (this.#slip.state === "bought") {
      this.#find("input").value = 1;
      this.#bought();
    }
  }

  #showButton() {
    const isSoldOut = this.#toy.quantity === 0;
    const isBuying = ["asking", "waiting"].includes(this.#slip.state);
    const isOpen = isBuying || this.#slip.state === "stopped";
    const otherwise = isSoldOut ? "Sold out" : "Buy";
    this.#write(".buy .doing", isBuying ? "Buying…" : otherwise);
    this.#find(".buy").ariaDisabled = String(isOpen || isSoldOut);
  }

  #press(button, label, step) {
    this.#find(button).setAttribute("aria-label", label);
    this.#find(button).addEventListener("click", () => step(this.#find("input")));
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  #write(selector, text) {
    const place = this.#find(selector);
    if (place.textContent !== text) place.textContent = text;
  }
}
