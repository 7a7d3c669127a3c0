// The shop: shows the toys, updates them repeatedly, and lists new orders.

import { Failure, Poll, ask, askPage } from "./ask.js";
import { Orders } from "./orders.js";
import { Shelf } from "./shelf.js";
import { visit } from "./visit.js";

const STOCK_EVERY_MS = 1000;

/** Toys that are shown at first, and with each press of "More toys". */
const PAGE_TOYS = 100;

const trouble = document.getElementById("trouble");
const opening = document.getElementById("opening");
const more = document.getElementById("more");
let pages = 1;
const orders = new Orders();
const shelf = new Shelf(() => {
  orders.showOwn();
  stock.now();
});

const stock = new Poll(async () => {
  try {
    await showToys();
    opening.hidden = true;
    tell("");
  } catch (error) {
    if (error instanceof Failure) {
      tell("The store is not answering. The prices and stock shown may be old; we keep trying.");
    }
    throw error;
  }
}, STOCK_EVERY_MS);

more.addEventListener("click", () => {
  pages += 1;
  more.hidden = true;
  stock.now();
});

/** Shows the first pages of toys, and those toys whose purchase has not ended, wherever they are in the list. */
async function showToys() {
  const names = new Set();
  let next = `?limit=${PAGE_TOYS}`;
  for (let page = 0; page < pages && next; page += 1) {
    const { data: toys, next: following } = await askPage(`products${next}`);
    shelf.show(toys);
    for (const { name } of toys) names.add(name);
    next = following;
  }
  for (const { name } of visit.unfinished.filter((purchase) => !names.has(purchase.name))) {
    shelf.show([await ask(`products/${encodeURIComponent(name)}`)]);
  }
  more.hidden = !next;
}

/** Writes only a changed text, so that screen readers do not read it each second. */
function tell(words) {
  if (trouble.textContent !== words) trouble.textContent = words;
}
