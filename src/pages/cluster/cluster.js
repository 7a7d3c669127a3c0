// The cluster page: requests the state of the store repeatedly and passes it to each part of the page.

import { Failure, Poll, ask } from "./ask.js";
import { Charts } from "./charts.js";
import { Controls } from "./controls.js";
import { Events } from "./events.js";
import { Database } from "./database.js";
import { Diagram } from "./diagram.js";
import { Cache, Stock } from "./toys.js";
import { Life } from "./life.js";
import { Services } from "./services.js";

const EVERY_MS = 400;

const controls = new Controls();
const events = new Events();
const charts = new Charts();
const parts = [new Diagram(), new Services(controls), new Database(), new Cache(), new Stock(), charts, events, controls];

new Life();

const poll = new Poll(async () => {
  try {
    const state = await ask(`state?event=${events.last}&unix_ms=${charts.last}`);
    showView(state);
    for (const part of parts) part.show(state);
    document.body.classList.remove("lost");
  } catch (error) {
    if (error instanceof Failure) showLost(error);
    throw error;
  }
}, EVERY_MS);
controls.ondone = () => poll.now();

/** Shows the leader, and whether the logs agree. */
function showView({ view, services }) {
  say("view", view === null
    ? "No leader is elected yet."
    : `Epoch ${view.epoch}: replica ${view.leader} leads, in sync: ${view.in_sync.map(({ id }) => id).join(", ")}`);
  const logs = services.filter(({ log }) => log).map(({ log, answers }) => ({ ...log, answers }));
  // By the log matching property: two logs whose last orders have the same number and epoch are the same.
  const ends = new Set(logs.map(({ last, last_epoch: epoch }) => `${last} of ${epoch}`));
  const agree = logs.length > 1 && ends.size === 1 && logs.every(({ answers }) => answers);
  say("agreement", agree
    ? `All ${logs.length} logs agree: ${logs[0].last} orders.`
    : `Orders in the logs: ${logs.map(({ last }) => last).join(", ")}.`);
  document.getElementById("agreement").classList.toggle("good", agree);
}

function showLost({ status }) {
  document.body.classList.add("lost");
  say("view", status === 403
    ? "The token in this address is no longer valid: open the address that run-all printed."
    : "run-all does not answer. Is the store closed?");
}

/** Changes a text only if it is different, so that a screen reader does not read it twice. */
function say(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}
