// The cluster page, used as a teacher uses it: crash a service while customers buy, watch, and start it again.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, close, launch, open, screenshot } from "./browser.mjs";
import { Store } from "./store.mjs";
import { until } from "./until.mjs";

const DESK = { width: 1280, height: 900 };
/** Much more than an election takes, and less than a purchase waits for a leader. */
const ELECTION_MS = 5_000;
/** For the spans of an order, which the services hand out at once. */
const TRACE_MS = 3_000;
/** Of ten crashes about one falls between two batches of purchases. */
const ATTEMPTS = 8;
const PHONE = { width: 360, height: 740 };

let browser;

/** An open store, and its cluster page with all services on it. Both are closed after the test. */
async function lesson(t, { viewport = DESK, ...context } = {}) {
  const store = await Store.open({ withPage: true });
  t.after(() => store.close());
  const page = await open(browser, store.page, { viewport, ...context });
  t.after(() => close(page));
  await leader(page);
  await state(page, "frontend", "makes the views");
  return { store, page };
}

const row = (page, service) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: service, exact: typeof service === "string" }) });
const state = (page, service, word) => row(page, service).getByText(word, { exact: true }).waitFor();

/** The leader, as soon as there is one. On a busy machine it may be another one than at first. */
async function leader(page) {
  const name = row(page, /^order/).filter({ has: page.getByText("leader", { exact: true }) }).getByRole("rowheader");
  return name.textContent();
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const happened = (page, words) => page.locator("#events li").filter({ hasText: words }).first().waitFor();
const customers = (page, count) => page.getByRole("slider", { name: "Customers" }).fill(String(count));

/** What the customers met so far: `orders`, `failed` and so on. */
async function met(page) {
  const text = await page.locator("#customers-text").textContent();
  return Object.fromEntries([...text.matchAll(/(\d+) (\w+)/g)].map(([, count, what]) => [what, Number(count)]));
}

async function moreOrders(page, count) {
  const { orders: before = 0 } = await met(page);
  const enough = async () => ((await met(page)).orders ?? 0) >= before + count;
  await until(`${count} more orders`, enough, () => page.locator("main").innerText());
}

/**
 * Crashes the leader while a follower is in sync, and resolves to its name when another one leads. On a busy machine the followers
 * may leave the in-sync set just before the crash; then nobody else may lead. So it comes back, and is crashed once more.
 */
async function crashLeader(page) {
  for (;;) {
    await page.locator("#services").getByText("in sync", { exact: true }).nth(1).waitFor();
    const crashed = await leader(page);
    await button(page, `crash ${crashed}`).click();
    await state(page, crashed, "down");
    const view = page.locator("#view").filter({ hasText: /replica \d leads/, hasNotText: crashed.replace("order", "replica") });
    const isLed = await view.waitFor({ timeout: ELECTION_MS }).then(() => true, () => false);
    if (isLed) return crashed;
    await button(page, `start ${crashed}`).click();
  }
}

/**
 * The first order after `order` that was on its way when a leader crashed: its first request failed, and another leader took office. If no
 * order was on its way, another leader is crashed.
 */
async function orderOverACrash(page, order) {
  const spans = async (number) => {
    const { data } = await page.evaluate(async (url) => (await fetch(url)).json(), `traces/${number}`);
    return data?.spans ?? [];
  };
  const isOne = (all) => all.some(({ name, error }) => name === "buy" && error) && all.some(({ name }) => name === "take office");
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await customers(page, 10);
    const crashed = await crashLeader(page);
    await moreOrders(page, 5);
    // Customers who go on would replace the traces that are looked for.
    await customers(page, 0);
    const deadline = Date.now() + TRACE_MS;
    while (Date.now() < deadline) {
      const { orders } = await met(page);
      for (let found = order; found <= orders; found += 1) if (isOne(await spans(found))) return found;
    }
    await button(page, `start ${crashed}`).click();
  }
  throw new Error(`no order of ${ATTEMPTS} crashes was on its way`);
}

describe("the cluster page", { concurrency: 3 }, () => {
  before(async () => (browser = await launch()));
  after(() => browser.close());

  test("the leader crashes under load, another one leads, it comes back, and all logs agree", async (t) => {
    const { store, page } = await lesson(t);
    await customers(page, 4);
    await moreOrders(page, 10);
    const crashed = await crashLeader(page);
    const id = crashed.replace("order ", "");
    const next = (await leader(page)).replace("order ", "");
    await page.locator("#view").filter({ hasText: `replica ${next} leads` }).waitFor();
    await happened(page, `${crashed} crashed`);
    await happened(page, new RegExp(`replica ${id} is (down|silent); epoch \\d+: replica \\d leads`));
    await moreOrders(page, 10);
    await page.evaluate(() => scrollTo(0, 0));
    await screenshot(page, "cluster.png");

    await button(page, `start ${crashed}`).click();
    await happened(page, /fetched \d+ missing orders from replica/);
    await state(page, crashed, "in sync");
    await moreOrders(page, 10);
    await customers(page, 0);
    await page.getByText(/^All 3 logs agree: \d+ orders\.$/).waitFor();
    assert.equal((await met(page)).failed, 0, "the customers noticed nothing");
    const logs = await Promise.all([1, 2, 3].map((id) => store.file(`order-${id}`, "orders.csv")));
    assert(logs[0].split("\n").length > 30, "there are orders");
    assert.deepEqual(logs, [logs[0], logs[0], logs[0]], "all logs are identical");
  });

  test("several front-ends and catalogs are drawn, and the nodes of the database", async (t) => {
    const { page } = await lesson(t);
    assert(!await page.locator("#database").isVisible(), "with files there are none");
    await page.route("**/state?*", async (route) => {
      const response = await route.fetch();
      const { data } = await response.json();
      const like = (name, more) => ({ ...data.services.find((service) => service.name === name), ...more });
      data.services.push(like("catalog", { name: "catalog 2", state: "standby", answers: false }));
      data.services.push(...[2, 3].map((id) => like("frontend", { name: `frontend ${id}`, state: "up" })));
      const node = (name, fitness, state, count, why = null) => ({ address: `${name}:3306`, fitness, state, count, why });
      data.nodes = [
        node("db-1", "fit", "Synced", 2),
        node("db-2", "unfit", "read-only", 2),
        node("db-3", "silent", "does not answer", null, "Connection refused"),
      ];
      await route.fulfill({ response, json: { data } });
    });
    const nodes = page.locator("#database li");
    await nodes.nth(2).waitFor();
    assert.deepEqual(await nodes.allTextContents(), [
      "db-1:3306 Synced cluster size 2",
      "db-2:3306 read-only cluster size 2",
      "db-3:3306 does not answer Connection refused",
    ]);
    await state(page, "catalog 2", "standby");
    await state(page, "frontend 3", "up");
    for (const name of ["catalog", "catalog 2", "frontend", "frontend 2", "frontend 3"]) {
      await page.locator("#map .name").getByText(name, { exact: true }).waitFor();
    }
    await assertAccessible(page);
    await screenshot(page, "database.png");
    await page.unrouteAll({ behavior: "wait" });
  });

  test("with the keyboard alone a service is paused and goes on", async (t) => {
    const { page } = await lesson(t);
    await button(page, "pause catalog").focus();
    await page.keyboard.press("Enter");
    await state(page, "catalog", "paused");
    const focused = () => page.evaluate(() => document.activeElement.ariaLabel);
    await until("the button says what it does now", async () => (await focused()) === "continue catalog");
    await page.keyboard.press("Enter");
    await state(page, "catalog", "up");
  });

  test("buttons that can do nothing do nothing, and a wrong command is explained", async (t) => {
    const { page } = await lesson(t);
    const line = page.getByLabel("Command, as in the terminal");
    const said = (words) => page.locator("#said").filter({ hasText: words }).waitFor();
    await line.fill("jump");
    await line.press("Enter");
    await said('unknown command "jump"; help lists all commands');
    await line.fill("crash order 1");
    await line.press("Enter");
    await said("order 1 crashed");
    await state(page, "order 1", "down");
    // Playwright itself would wait until the button is enabled.
    await button(page, "pause order 1").click({ force: true });
    await line.fill("status");
    await line.press("Enter");
    await said(/order 1 +down/);
  });

  test("the cache, the stock and the charts follow what customers do", async (t) => {
    const { store, page } = await lesson(t);
    const row = page.getByRole("list", { name: "Cached toys, most recently used first" });
    /** Waits until the page shows the front-end's state. On a busy machine the front-end may have emptied its cache. */
    const cacheIsShown = () => until("the page shows the cache", async () => {
      const { capacity, toys, hits, misses, evictions, invalidations } = (await store.status()).cache;
      const tiles = toys.map(({ name, version }) => `${name}version ${version}`);
      const empty = Array.from({ length: capacity - toys.length }, () => "empty");
      const text = `${toys.length} of ${capacity}: ${hits} hits, ${misses} misses, ${evictions} evictions, ${invalidations} invalidations`;
      const shown = [await page.locator("#cache-text").textContent(), ...await row.getByRole("listitem").allTextContents()];
      return shown.join() === [text, ...tiles, ...empty].join();
    });
    await until("toys are cached", async () => {
      for (const name of ["Tux", "Fox", "Tux"]) await store.get(`products/${name}`);
      return (await store.status()).cache.toys.length === 2;
    });
    await cacheIsShown();
    await store.buy("Tux", 90);
    await cacheIsShown();
    await page.locator("#stock li").filter({ hasText: "Tux" }).getByText("10", { exact: true }).waitFor();
    const purchases = page.locator("figure").filter({ hasText: "Latency of purchases" });
    await purchases.locator("path.line-0[d^=M]").waitFor({ state: "attached" });
  });

  test("the life of a purchase is drawn, and stepped through with the keyboard", async (t) => {
    const { page } = await lesson(t);
    await customers(page, 1);
    await page.locator("#life-text").filter({ hasText: /^Order \d+: / }).waitFor();
    const steps = page.getByRole("listbox", { name: "Steps of the purchase" });
    for (const word of ["front-end: call buy", "catalog: purchase", "call append"]) {
      await steps.getByRole("option").filter({ hasText: word }).first().waitFor();
    }
    const map = page.locator("#life svg");
    for (const lane of ["front-end", "catalog", "order 1", "order 2", "order 3"]) await map.getByText(lane, { exact: true }).waitFor();
    assert(await map.locator(".critical").count() > 3, "the critical path is marked");

    // A later purchase that is on its way at the first key is not shown.
    const later = "**/traces/last";
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route(later, (route) => held.then(() => route.continue()));
    await page.waitForRequest(later);
    await steps.focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const answered = page.waitForResponse(later);
    release();
    await (await answered).finished();
    const selected = steps.getByRole("option", { selected: true });
    assert.equal(await selected.getAttribute("id"), "life-step-2");
    assert.equal(await steps.getAttribute("aria-activedescendant"), "life-step-2");
    assert(!await page.getByRole("checkbox", { name: "Follow" }).isChecked(), "what is stepped through stays");
    assert.notEqual(await page.locator("#life-why").textContent(), "");
    await page.keyboard.press("End");
    assert.equal(await map.locator(".later").count(), 0, "at the end everything has begun");
    await page.keyboard.press("Home");
    assert(await map.locator(".later").count() > 5, "at the begin most is still to come");
    assert(await page.evaluate(() => document.documentElement.scrollWidth) <= DESK.width);
    await page.keyboard.press("End");
    await page.locator("#life").evaluate((section) => section.scrollIntoView());
    await screenshot(page, "purchase.png");
  });

  test("a purchase is chosen by its order number, and one over a crash shows the retry", async (t) => {
    const { page } = await lesson(t);
    await page.getByRole("checkbox", { name: /Slow database/ }).click();
    await page.locator("#map").getByText("200 ms delay").waitFor();
    await customers(page, 10);
    const shown = page.locator("#life-text").filter({ hasText: /^Order \d+: / });
    const [, number] = /^Order (\d+): /.exec(await shown.textContent());
    const over = await orderOverACrash(page, Number(number));
    await page.getByLabel("Trace", { exact: true }).selectOption("order");
    await page.getByLabel("Order number").fill(String(over));
    await button(page, "Show").click();
    await page.locator("#life-text").filter({ hasText: new RegExp(`^Order ${over}: `) }).waitFor();
    await page.locator("#life").getByText("buy ✗").first().waitFor();
    await page.locator("#life-steps").getByText("take office").first().waitFor();
    await page.getByLabel("Trace", { exact: true }).selectOption("slowest");
    await shown.waitFor();
    await page.getByLabel("Trace", { exact: true }).selectOption("election");
    await page.locator("#life-text").filter({ hasText: /^Election: / }).waitFor();
    // The last one may be that of a replica that has come back: then nobody takes office.
    for (const step of ["call update_leader", "write the view"]) await page.locator("#life-steps").getByText(step).first().waitFor();
    await page.getByLabel("Trace", { exact: true }).selectOption("order");
    await page.getByLabel("Order number").fill("999999");
    await page.getByRole("checkbox", { name: "Follow" }).uncheck();
    await button(page, "Show").click();
    await page.locator("#life-text").filter({ hasText: "order 999999 was not traced" }).waitFor();
  });

  test("a slow database is switched on and off", async (t) => {
    const { page } = await lesson(t);
    const slow = page.getByRole("checkbox", { name: /Slow database/ });
    await slow.click();
    await page.locator("#map").getByText("200 ms delay").waitFor();
    await slow.click();
    await page.locator("#map").getByText("200 ms delay").waitFor({ state: "detached" });
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`it is accessible, ${colorScheme}, with one replica of each kind`, async (t) => {
      const { page } = await lesson(t, { colorScheme });
      // Before two are stopped: on a busy machine another replica may lead by then, and be one of them.
      await customers(page, 1);
      await moreOrders(page, 1);
      const others = [1, 2, 3].map((id) => `order ${id}`);
      others.splice(others.indexOf(await leader(page)), 1);
      await button(page, `crash ${others[0]}`).click();
      await state(page, others[0], "down");
      await button(page, `pause ${others[1]}`).click();
      await state(page, others[1], "paused");
      await assertAccessible(page);
    });
  }

  test("the time of an event is on one line, in every usual font", async (t) => {
    const { page } = await lesson(t);
    await happened(page, /took office/);
    for (const width of [1280, 1400]) {
      await page.setViewportSize({ ...DESK, width });
      for (const font of ["DejaVu Sans", "Noto Sans"]) {
        const [lines, widths] = await page.evaluate((font) => {
          document.body.style.setProperty("font-family", `"${font}"`);
          const all = [...document.querySelectorAll("#events time")].map((time) => {
            const text = document.createRange();
            text.selectNodeContents(time);
            return text.getClientRects();
          });
          return [all.map((rects) => rects.length), all.map((rects) => Math.round(rects[0].width))];
        }, font);
        assert.deepEqual(new Set(lines), new Set([1]), `${font} at ${width}`);
        assert.equal(new Set(widths).size, 1, `${font} at ${width}: all digits are as wide: ${widths}`);
      }
    }
  });

  test("on a phone nothing is cut off, and whatever is wide scrolls by itself", async (t) => {
    const { page } = await lesson(t, { viewport: PHONE });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  });

  test("a page whose store has been closed says so", async (t) => {
    const { page } = await lesson(t);
    await page.getByLabel("Command, as in the terminal").fill("quit");
    await button(page, "Run").click();
    await page.getByText("run-all does not answer. Is the store closed?").waitFor();
  });
});
