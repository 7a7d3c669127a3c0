// A whole store for one test: run-all with addresses of its own and a temporary directory.
//
// - It has a loopback host of its own (on Linux all of 127.0.0.0/8 is loopback), so that no client's source
//   port can take a port of the store.
// - No process outlives its test: if the test is killed, the standard input of the store ends, and the store closes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "./until.mjs";

/** The root of the repository. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** The directory of the programs. */
const PROGRAMS = resolve(ROOT, process.env.TOYSTORE_PROGRAMS ?? "target/debug");

/** The services in the order of their start, named as in flags and directories. */
const SERVICES = ["catalog", "order-1", "order-2", "order-3", "frontend"];

export class Store {
  /** The URL of the shop. */
  url;
  /** The URL of the cluster page with its token, if there is one. */
  page;
  /** The address of the front-end for health, status and metrics. */
  #peer;
  #directory;
  #flags;
  #supervisor;
  /** The running processes by service: the process id, and the process if it was started by hand. */
  #running = new Map();
  #said = "";

  /** An open store. `toys` is a catalog of its own, a CSV. It does not restock, unless told to by `flags`. */
  static async open({ toys, flags = [], withPage = false } = {}) {
    const store = new Store();
    store.#directory = await mkdtemp(join(tmpdir(), "toystore-browser-"));
    store.#flags = ["--catalog-restock-every-ms=600000000", "--exit-with-parent"];
    const [page, ...addresses] = await freeAddresses(1 + 2 * SERVICES.length);
    for (const service of SERVICES) {
      const [listen, peer] = addresses.splice(0, 2);
      const data = join(store.#directory, service);
      store.#flags.push(`--${service}-listen=${listen}`, `--${service}-peer=${peer}`, `--${service}-data=${data}`);
      // The last one is the front-end.
      store.url = `http://${listen}/`;
      store.#peer = `http://${peer}/`;
    }
    store.#flags.push(`--page-listen=${page}`);
    if (toys) {
      const file = join(store.#directory, "toys-at-first.csv");
      await writeFile(file, toys);
      store.#flags.push(`--catalog-initial=${file}`);
    }
    store.#flags.push(...flags);
    await store.#open(withPage);
    return store;
  }

  async #open(withPage) {
    this.#supervisor = this.#spawn("run-all", [withPage ? "--page" : "--no-page"]);
    const last = withPage ? /the cluster page is at (http:\S+)/ : /Ctrl-C closes the store/;
    await until("the store is open", () => last.test(this.#said), () => this.#said);
    this.page = this.#said.match(last)[1];
    for (const [, name, pid] of this.#said.matchAll(/run-all +│ (\S+(?: \d+)?) +at \S+, pid (\d+)/g)) {
      this.#running.set(name.replace(" ", "-"), { pid: Number(pid) });
    }
  }

  /** `kill -9` to a service: "catalog", "order-1", "frontend". */
  async kill(service) {
    const { pid } = this.#running.get(service);
    this.#running.delete(service);
    process.kill(pid, "SIGKILL");
    await until(`${service} has ended`, () => !isAlive(pid));
  }

  /** Starts a service that was killed, perhaps with more flags, without waiting for it. */
  start(service, flags = []) {
    const [program, id] = service.split("-");
    const child = this.#spawn(program, [...(id ? ["--id", id] : []), ...flags]);
    this.#running.set(service, { pid: child.pid, child });
  }

  /** The data of the answer to a request, or `null`. */
  async get(path) {
    const response = await fetch(new URL(path, this.url), { signal: AbortSignal.timeout(10_000) });
    return response.ok ? (await response.json()).data : null;
  }

  /** The status of the front-end. */
  async status() {
    const response = await fetch(new URL("status", this.#peer), { signal: AbortSignal.timeout(10_000) });
    return (await response.json()).data;
  }

  /** Buys. */
  async buy(name, quantity) {
    const response = await fetch(new URL("orders", this.url), {
      method: "POST",
      body: JSON.stringify({ name, quantity }),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(await response.text());
  }

  /** The content of a file of a service. */
  file(service, name) {
    return readFile(join(this.#directory, service, name), "utf8");
  }

  /** The number of orders: they are numbered without gap. */
  async orders() {
    let count = 0;
    while (await this.get(`orders/${count + 1}`)) count += 1;
    return count;
  }

  /** Closes it, and removes what it has written. */
  async close() {
    const byHand = [...this.#running.values()].flatMap(({ child }) => child ?? []);
    for (const child of [...byHand.reverse(), this.#supervisor]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(late);
    }
    await rm(this.#directory, { recursive: true });
  }

  /** The environment and the configuration file of the repository have no effect. */
  #spawn(program, args) {
    const child = spawn(join(PROGRAMS, program), [...args, ...this.#flags], { cwd: this.#directory, env: {} });
    const listen = (text) => (this.#said += text);
    child.stdout.setEncoding("utf8").on("data", listen);
    child.stderr.setEncoding("utf8").on("data", listen);
    child.on("error", (error) => listen(`${program} cannot be started: ${error.message}\n`));
    return child;
  }
}

/** Addresses of one host, which were free just before. */
async function freeAddresses(count) {
  const number = () => 1 + Math.floor(Math.random() * 250);
  const host = `127.${number()}.${number()}.${number()}`;
  const servers = Array.from({ length: count }, () => createServer().listen(0, host));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const addresses = servers.map((server) => `${host}:${server.address().port}`);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return addresses;
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
