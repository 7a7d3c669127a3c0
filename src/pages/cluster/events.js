// The list of events, the newest first.

const SHOWN_MAX = 300;

// With milliseconds, because a fail-over takes only milliseconds.
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

export class Events {
  /** The number of the last event that was received. */
  last = 0;

  #list = document.querySelector("#events ol");

  show({ events }) {
    if (events.length === 0) return;
    this.last = events.at(-1).number;
    for (const event of events) this.#insert(row(event));
    while (this.#list.children.length > SHOWN_MAX) this.#list.lastChild.remove();
  }

  /** Inserts by time: events of two services may arrive in a different order. */
  #insert(item) {
    let next = this.#list.firstElementChild;
    while (next && Number(next.dataset.ms) > Number(item.dataset.ms)) next = next.nextElementSibling;
    this.#list.insertBefore(item, next);
  }
}

function row({ unix_ms: ms, who, level, text }) {
  const item = document.createElement("li");
  item.dataset.ms = ms;
  item.classList.add(level.toLowerCase());
  const time = document.createElement("time");
  time.dateTime = new Date(ms).toISOString();
  time.textContent = CLOCK.format(ms);
  const name = document.createElement("b");
  name.textContent = who;
  const words = document.createElement("span");
  words.textContent = text;
  item.append(time, " ", name, " ", words);
  return item;
}
