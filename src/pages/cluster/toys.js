// The toys in the cache, in the order of their eviction, and the stock.

import { pictureOf } from "./picture.js";
import { element } from "./svg.js";

// The pictures are made a part of this page: a picture from another file would be blank after each redraw, until the
// browser has loaded that file again.
const file = await (await fetch("assets/toys.svg")).text();
const pictures = new DOMParser().parseFromString(file, "image/svg+xml").documentElement;
pictures.setAttribute("hidden", "");
document.body.append(pictures);

function picture(name) {
  const svg = element("svg", { viewBox: "0 0 96 96", "aria-hidden": "true" });
  svg.append(element("use", { href: `#${pictureOf(name)}` }));
  return svg;
}

/** Of a larger cache, only this many toys are shown. */
const TILES_MAX = 100;

/** The LRU cache as a row. */
export class Cache {
  #row = document.getElementById("cache-row");
  #text = document.getElementById("cache-text");
  #shown = "";

  show({ cache }) {
    if (!cache) return;
    const { capacity, toy_count: count, toys, hits, misses, evictions, invalidations } = cache;
    this.#text.textContent = capacity === 0
      ? "Switched off: every query goes to the catalog."
      : `${count} of ${capacity}: ${hits} hits, ${misses} misses, ${evictions} evictions, ${invalidations} invalidations`;
    const now = JSON.stringify([capacity, toys]);
    if (now === this.#shown) return;
    this.#shown = now;
    const length = Math.min(Math.max(capacity, toys.length), TILES_MAX);
    const places = Array.from({ length }, (_, place) => tile(toys[place]));
    this.#row.replaceChildren(...places);
  }
}

function tile(toy) {
  const item = document.createElement("li");
  if (!toy) {
    item.className = "vacant";
    item.textContent = "empty";
    return item;
  }
  const version = document.createElement("small");
  version.textContent = `version ${toy.version}`;
  item.append(picture(toy.name), toy.name, version);
  return item;
}

/** The stock of each toy. */
export class Stock {
  #list = document.querySelector("#stock ul");
  #text = document.getElementById("stock-text");
  #items = new Map();

  show({ toys, toy_count: count, sold_out: soldOut }) {
    const isTooMany = count > toys.length;
    this.#text.textContent = isTooMany ? `${count} toys, ${soldOut} of them sold out: too many to show here.` : "";
    if (isTooMany) this.#clear();
    for (const toy of toys) {
      let item = this.#items.get(toy.name);
      if (!item) {
        item = new Shelf(toy.name);
        this.#items.set(toy.name, item);
        this.#list.append(item.element);
      }
      item.show(toy);
    }
  }

  /** Removes all toys, when there are too many of them to show. */
  #clear() {
    this.#list.replaceChildren();
    this.#items.clear();
  }
}

class Shelf {
  element = document.createElement("li");
  #bar = document.createElement("span");
  #text = document.createElement("span");

  constructor(name) {
    const label = document.createElement("span");
    label.textContent = name;
    this.#bar.className = "bar";
    this.#bar.append(document.createElement("span"));
    this.#text.className = "number";
    this.element.append(picture(name), label, this.#bar, this.#text);
  }

  show({ quantity, initial, sold }) {
    const share = Math.min(1, quantity / Math.max(initial, 1));
    this.#bar.firstChild.style.inlineSize = `${share * 100}%`;
    this.#bar.classList.toggle("low", share < 0.1);
    this.#text.textContent = quantity === 0 ? "sold out" : quantity;
    this.element.title = `${sold} sold`;
  }
}
