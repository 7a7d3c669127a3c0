// The shop: fills the shelf, keeps it fresh, and lists new orders.

import { Failure, Poll, ask } from "./ask.js";
import { Orders } from "./orders.js";
import { Shelf } from "./shelf.js";

const STOCK_EVERY_MS = 1000;

const trouble = document.getElementById("trouble");
const opening = document.getElementById("opening");
const orders = new Orders();
const shelf = new Shelf(() => {
  orders.showOwn();
  stock.now();
});

const stock = new Poll(async () => {
  try {
    shelf.show(await ask("products"));
    opening.hidden = true;
    tell("");
  } catch (error) {
    if (error instanceof Failure) {
      tell("The store is not answering. What you see may be old; we keep asking.");
    }
    throw error;
  }
}, STOCK_EVERY_MS);

/** Said aloud when it changes, so it is not said again each second. */
function tell(words) {
  if (trouble.textContent !== words) trouble.textContent = words;
}
