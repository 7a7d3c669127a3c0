// One purchase, from the button to the order number, with all its retries.
//
// All attempts have the same key, so the store executes the purchase once, even if the answer to an
// earlier attempt was lost.

import { Failure, ask, pause } from "./ask.js";

/** Together 43 seconds, which is enough for a restart of the store. */
const PAUSES_MS = [1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000];

/** A unique key. `crypto.randomUUID` does not exist on pages loaded by plain HTTP. */
export function newKey() {
  return random(16);
}

/** So many random bytes, in hexadecimal. */
function random(count) {
  const bytes = crypto.getRandomValues(new Uint8Array(count));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Buys `{ name, quantity }` and returns the order's number. Calls `waiting` before each pause. Throws a
 * `Failure`: `isPassing` if the store does not answer and the order may exist, otherwise the store refused the
 * purchase. Throws the reason of `signal` if that is aborted; the order may exist then, too.
 */
export async function buy({ name, quantity, key }, signal, waiting) {
  // Sampled (W3C Trace Context): the answer says where its time went, and the browser's network panel shows it.
  const traceparent = `00-${random(16)}-${random(8)}-01`;
  const request = {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key, traceparent },
    body: JSON.stringify({ name, quantity }),
    signal,
  };
  for (const milliseconds of [...PAUSES_MS, null]) {
    try {
      const { order_number: number } = await ask("orders", request);
      return number;
    } catch (error) {
      if (!(error instanceof Failure && error.isPassing) || milliseconds === null) throw error;
    }
    waiting();
    await pause(milliseconds, signal);
  }
}
