// What this tab remembers, also when the page is loaded again: the orders of this visit, and the purchases
// whose end is not known, with their keys. A key that is lost is a purchase that may be made twice.

const PLACE = "toystore";

/** The newest are kept. */
const ORDERS_MAX = 20;

/** `orders` are `{ number, name, quantity }`, newest first; `unfinished` are `{ name, quantity, cost, key }`. */
export const visit = { orders: [], unfinished: [], ...stored() };

/** There is a new order. */
export function rememberOrder(order) {
  visit.orders = [order, ...visit.orders.filter(({ number }) => number !== order.number)];
  visit.orders.length = Math.min(visit.orders.length, ORDERS_MAX);
  store();
}

/** A purchase begins. */
export function rememberPurchase(purchase) {
  visit.unfinished.push(purchase);
  store();
}

/** A purchase has ended, or its customer does not care any more. */
export function forgetPurchase({ key }) {
  visit.unfinished = visit.unfinished.filter((purchase) => purchase.key !== key);
  store();
}

function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE));
  } catch {
    // Not allowed to, or not ours: a visit without a past.
    return null;
  }
}

function store() {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(visit));
  } catch {
    // Not allowed to, or full. The page still knows until it is closed.
  }
}
