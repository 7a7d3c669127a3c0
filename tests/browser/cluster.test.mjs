// The cluster page, used as a teacher uses it: pull a plug while customers shop, watch, and put it back.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, close, launch, open, screenshot } from "./browser.mjs";
import { Store } from "./store.mjs";
import { until } from "./until.mjs";

const DESK = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

let browser;

/** An open store, and its cluster page with all services on it. Both are closed after the test. */
async function lesson(t, { viewport = DESK, ...context } = {}) {
  const store = await Store.open({ withPage: true });
  t.after(() => store.close());
  const page = await open(browser, store.page, { viewport, ...context });
  t.after(() => close(page));
  await state(page, "order 3", "leader");
  await state(page, "frontend", "up");
  return { store, page };
}

const row = (page, service) => page.getByRole("row").filter({ has: page.getByRole("rowheader", { name: service, exact: true }) });
const state = (page, service, word) => row(page, service).getByText(word, { exact: true }).waitFor();
const button = (page, name) => page.getByRole("button", { name, exact: true });
const happened = (page, words) => page.locator("#events li").filter({ hasText: words }).first().waitFor();
const shoppers = (page, count) => page.getByRole("slider", { name: "Shoppers" }).fill(String(count));

/** What the shoppers met so far: `orders`, `failed` and so on. */
async function met(page) {
  const text = await page.locator("#shoppers-text").textContent();
  return Object.fromEntries([...text.matchAll(/(\d+) (\w+)/g)].map(([, count, what]) => [what, Number(count)]));
}

async function moreOrders(page, count) {
  const { orders: before = 0 } = await met(page);
  await until(`${count} more orders`, async () => ((await met(page)).orders ?? 0) >= before + count);
}

describe("the cluster page", { concurrency: 3 }, () => {
  before(async () => (browser = await launch()));
  after(() => browser.close());

  test("the leader crashes under load, another one leads, it comes back, and all logs agree", async (t) => {
    const { store, page } = await lesson(t);
    await shoppers(page, 4);
    await moreOrders(page, 10);
    await button(page, "crash order 3").click();
    await state(page, "order 3", "down");
    await state(page, "order 2", "leader");
    await page.getByText("Epoch 2: replica 2 leads, in sync: 1, 2").waitFor();
    await happened(page, "order 3 is crashed");
    await happened(page, "replica 3 is down; epoch 2: replica 2 leads, in sync: 1 2");
    await moreOrders(page, 10);
    await page.evaluate(() => scrollTo(0, 0));
    await screenshot(page, "cluster.png");

    await button(page, "start order 3").click();
    await happened(page, /missed \d+ orders, took them from replica 2/);
    await state(page, "order 3", "in sync");
    await moreOrders(page, 10);
    await shoppers(page, 0);
    await page.getByText(/^All 3 logs agree: \d+ orders\.$/).waitFor();
    assert.equal((await met(page)).failed, 0, "the shoppers noticed nothing");
    const logs = await Promise.all([1, 2, 3].map((id) => store.file(`order-${id}`, "orders.csv")));
    assert(logs[0].split("\n").length > 30, "there are orders");
    assert.deepEqual(logs, [logs[0], logs[0], logs[0]], "by the byte");
  });

  test("with the keyboard alone a replica is paused and goes on", async (t) => {
    const { page } = await lesson(t);
    await button(page, "pause order 1").focus();
    await page.keyboard.press("Enter");
    await state(page, "order 1", "paused");
    const focused = () => page.evaluate(() => document.activeElement.ariaLabel);
    await until("the button says what it does now", async () => (await focused()) === "continue order 1");
    await page.keyboard.press("Enter");
    await state(page, "order 1", "in sync");
  });

  test("buttons that can do nothing do nothing, and a wrong command is explained", async (t) => {
    const { page } = await lesson(t);
    const line = page.getByLabel("Or type, as in the terminal");
    const said = (words) => page.locator("#said").filter({ hasText: words }).waitFor();
    await line.fill("jump");
    await line.press("Enter");
    await said('no such command: "jump"; help lists them');
    await line.fill("crash order 1");
    await line.press("Enter");
    await said("order 1 is crashed");
    await state(page, "order 1", "down");
    await button(page, "pause order 1").click();
    await line.fill("status");
    await line.press("Enter");
    await said(/order 1 +down/);
  });

  test("the cache, the stock and the charts follow what customers do", async (t) => {
    const { store, page } = await lesson(t);
    const cached = page.getByRole("list", { name: "Cached toys, most recently used first" }).getByRole("listitem");
    for (const name of ["Tux", "Fox", "Tux"]) await store.get(`products/${name}`);
    await page.getByText("2 of 7: 1 hits, 2 misses, 0 evictions, 0 invalidations").waitFor();
    assert.deepEqual(await cached.allTextContents(), ["Tuxversion 1", "Foxversion 1", "empty", "empty", "empty", "empty", "empty"]);
    await store.buy("Tux", 90);
    await page.getByText("1 of 7: 1 hits, 2 misses, 0 evictions, 1 invalidations").waitFor();
    await page.locator("#stock li").filter({ hasText: "Tux" }).getByText("10", { exact: true }).waitFor();
    const purchases = page.locator("figure").filter({ hasText: "A purchase takes" });
    await purchases.locator("path.line-0[d^=M]").waitFor();
  });

  test("a slow database is switched on and off", async (t) => {
    const { page } = await lesson(t);
    const slow = page.getByRole("checkbox", { name: /Slow database/ });
    await slow.check();
    await page.locator("#map").getByText("200 ms slower").waitFor();
    await slow.uncheck();
    await page.locator("#map").getByText("200 ms slower").waitFor({ state: "detached" });
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`it is accessible, ${colorScheme}, with one replica of each kind`, async (t) => {
      const { page } = await lesson(t, { colorScheme });
      await button(page, "crash order 1").click();
      await button(page, "pause order 2").click();
      await state(page, "order 1", "down");
      await state(page, "order 2", "paused");
      await shoppers(page, 1);
      await moreOrders(page, 1);
      await assertAccessible(page);
    });
  }

  test("on a phone nothing is cut off, and whatever is wide scrolls by itself", async (t) => {
    const { page } = await lesson(t, { viewport: PHONE });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
  });

  test("a page whose store has been closed says so", async (t) => {
    const { page } = await lesson(t);
    await page.getByLabel("Or type, as in the terminal").fill("quit");
    await button(page, "Do it").click();
    await page.getByText("run-all does not answer. Is the store closed?").waitFor();
  });
});
