// One purchase, from the button to the order number, however often the store has to be asked.
//
// Each time it is asked for with the same key, by which the store knows it again: so it is bought once,
// even if the answer to the first request was lost on the way and the order stands already.

import { Failure, ask, pause } from "./ask.js";

/** Together three quarters of a minute: a store that is started again is back by then. */
const PAUSES_MS = [1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000];

/** A key that nobody else has. `crypto.randomUUID` is missing on pages that came by plain HTTP. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Buys `{ name, quantity }` and returns the order's number. Calls `waiting` before each pause. Throws a
 * `Failure`: a passing one if the store fell silent and the order may stand, another one if it said no. Throws the
 * reason of `signal` if that is aborted; then, too, the order may stand.
 */
export async function buy({ name, quantity, key }, signal, waiting) {
  const request = {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
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
