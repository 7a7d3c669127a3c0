// Waits for a condition, with a deadline. There are no fixed pauses.

import { setTimeout as sleep } from "node:timers/promises";

/** Much more than any condition needs. A test that reaches it has failed. */
export const PATIENCE_MS = 60_000;

/** Waits until `condition` returns, or resolves to, something true. If it never does, the message also has what `more` returns or resolves to. */
export async function until(what, condition, more = () => "") {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}\n${await more()}`);
    await sleep(20);
  }
}
