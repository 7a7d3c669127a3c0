// What this tab stores, also across a reload: the orders of this visit, and the unfinished purchases with
// their keys. A retry of a purchase without its key could buy twice.

const PLACE = "toystore";

/** Older orders are dropped. */
const ORDERS_MAX = 20;

/** `orders` are `{ number, name, quantity }`, newest first; `unfinished` are `{ name, quantity, cost, key }`. */
export const visit = { orders: [], unfinished: [], ...stored() };

/** Stores a new order. */
export function rememberOrder(order) {
  visit.orders = [order, ...visit.orders.filter(({ number }) => number !== order.number)];
  visit.orders.length = Math.min(visit.orders.length, ORDERS_MAX);
  store();
}

/** Stores a purchase that begins. */
export function rememberPurchase(purchase) {
  visit.unfinished.push(purchase);
  store();
}

/** Removes a purchase that has ended or that the customer dismissed. */
export function forgetPurchase({ key }) {
  visit.unfinished = visit.unfinished.filter((purchase) => purchase.key !== key);
  store();
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE));
  } catch {
    // No access, or not valid JSON: start with nothing stored.
    return null;
  }
}

function store() {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(visit));
  } catch {
    // No access, or full. The data is then kept until the page is closed.
  }
}
