// Waiting for a condition, with a deadline: nothing here sleeps and hopes.

import { setTimeout as sleep } from "node:timers/promises";

/** Far more than anything takes; a test that reaches it has failed. */
export const PATIENCE_MS = 20_000;

/** Waits until `condition` returns, or resolves to, something true. If it never does, `more`, or what it resolves to, tells more. */
export async function until(what, condition, more = () => "") {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await condition()) return;
    if (Date.now() > deadline) throw new Error(`waited in vain until ${what}\n${await more()}`);
    await sleep(20);
  }
}
