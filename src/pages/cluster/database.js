// The nodes of the database, if the store is on one.

const STATES = { fit: "in_sync", unfit: "catching_up", silent: "down" };

export class Database {
  #section = document.getElementById("database");
  #list = document.querySelector("#database ul");
  #shown = "";

  show({ nodes }) {
    const now = JSON.stringify(nodes);
    if (now === this.#shown) return;
    this.#shown = now;
    this.#section.hidden = nodes.length === 0;
    this.#list.replaceChildren(...nodes.map(item));
  }
}

function item({ address, fitness, state, count, why }) {
  const item = document.createElement("li");
  const badge = document.createElement("span");
  badge.className = `badge state-${STATES[fitness]}`;
  badge.textContent = state;
  const size = count === null ? "" : ` cluster size ${count}`;
  item.append(address, " ", badge, size, why === null ? "" : ` ${why}`);
  return item;
}
