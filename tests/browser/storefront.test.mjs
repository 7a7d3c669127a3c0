// The shop, used as customers use it: with a mouse, with the keyboard, on a phone, with dark colours, and during faults
// of the store.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertAccessible, close, launch, open, screenshot } from "./browser.mjs";
import { Store } from "./store.mjs";
import { until } from "./until.mjs";

const DESK = { width: 1000, height: 900 };
const PHONE = { width: 320, height: 640 };

/** A name that is HTML: it must be shown as text. */
const MEAN_NAME = "<img src=x onerror=alert(1)>";

/** A few of one toy, none of another, and some toys without a picture. */
const ODD_TOYS = `name,price,quantity
Tux,19.9,3
Fox,14.5,0
Whale,24.9,100
Teapot,1234.5,2000
${MEAN_NAME},5,10
`;

let browser;

/** An open store, and a page in it with all toys on the shelf. Both are closed after the test. */
async function shop(t, { toys, flags, viewport = DESK, ...context } = {}) {
  const store = await Store.open({ toys, flags });
  t.after(() => store.close());
  const page = await open(browser, store.url, { viewport, ...context });
  t.after(() => close(page));
  await page.locator(".card").first().waitFor();
  return { store, page };
}

const card = (page, name) => page.locator(".card").filter({ has: page.getByRole("heading", { name, exact: true }) });
const buyButton = (page, name) => page.getByRole("button", { name: `Buy ${name}`, exact: true });
const quantity = (page, name) => page.getByRole("spinbutton", { name: `How many of ${name}`, exact: true });
const slip = (page, name) => card(page, name).getByRole("status");
const says = (place, words) => place.filter({ hasText: words }).waitFor();
const opened = (page, state) => page.locator(`.slip[data-state="${state}"]`).waitFor();

/** The keys of all purchases that the page asks for from now on, one for each request. */
function keysOf(page) {
  const keys = [];
  page.on("request", (request) => {
    if (request.method() === "POST") keys.push(request.headers()["idempotency-key"]);
  });
  return keys;
}

/** Buys one Whale while the store does not answer. */
async function buyInVain(page) {
  await buyButton(page, "Whale").click();
  await says(slip(page, "Whale"), "The store is not answering. Your order is safe: we keep trying with the same key.");
}

/** What has the focus: its name, the width of the ring around it, and whether it is in view. */
function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const { top, bottom } = element.getBoundingClientRect();
    return {
      name: element.ariaLabel ?? element.labels?.[0]?.textContent ?? element.textContent.trim(),
      outline: outlineStyle === "none" ? 0 : parseFloat(outlineWidth),
      inView: top >= 0 && bottom <= innerHeight,
    };
  });
}

// The tests mostly wait, so several run at the same time.
describe("the shop", { concurrency: 4 }, () => {
  before(async () => (browser = await launch()));
  after(() => browser.close());

  test("a purchase shows its number, and the stock falls", async (t) => {
    const { store, page } = await shop(t);
    assert.equal(await page.locator(".card").count(), 10);
    assert.equal(await card(page, "Whale").locator(".price").textContent(), "$24.90");
    await says(card(page, "Whale"), "100 in stock");
    await page.getByRole("button", { name: "One Whale more" }).click();
    await page.getByRole("button", { name: "One Whale more" }).click();
    await page.getByRole("button", { name: "One Whale less" }).click();
    await buyButton(page, "Whale").click();
    await says(slip(page, "Whale"), "Order 1");
    await says(slip(page, "Whale"), "2 × Whale, $49.80");
    await says(card(page, "Whale"), "98 in stock");
    assert.equal(await quantity(page, "Whale").inputValue(), "1", "the quantity is reset after a purchase");
    const timing = await page.evaluate(() => performance.getEntriesByName(new URL("orders", location).href)[0].serverTiming);
    // On a busy machine the order may be made by a leader that reconciles: then no call of this purchase asked the catalog.
    assert.deepEqual(timing.slice(0, 2).map(({ name }) => name), ["total", "order"], "the network panel shows where its time went");
    assert.deepEqual(await store.get("orders/1"), { number: 1, name: "Whale", quantity: 2 });
    await screenshot(page, "storefront.png");
  });

  test("what others buy is seen without a reload", async (t) => {
    const { store, page } = await shop(t);
    await says(card(page, "Lego"), "100 in stock");
    await store.buy("Lego", 96);
    await says(card(page, "Lego"), "only 4 left");
  });

  test("more than there is is refused with how many are left", async (t) => {
    const { store, page } = await shop(t);
    await quantity(page, "Fox").fill("101");
    await buyButton(page, "Fox").click();
    await says(slip(page, "Fox"), "There are only 100 left.");
    await quantity(page, "Fox").fill("100");
    await buyButton(page, "Fox").click();
    await says(slip(page, "Fox"), "Order 1");
    assert.equal(await store.orders(), 1);
  });

  test("what is no number of toys is not sent", async (t) => {
    const { page } = await shop(t);
    const keys = keysOf(page);
    for (const wrong of ["0", "-1", "1.5", "", "1000001"]) {
      await quantity(page, "Fox").fill(wrong);
      await buyButton(page, "Fox").click();
      assert(await quantity(page, "Fox").evaluate((input) => input.matches(":invalid")), wrong);
    }
    assert.deepEqual(keys, []);
  });

  test("an order is found by its number, by its address and in the list of the visit", async (t) => {
    const { store, page } = await shop(t);
    await buyButton(page, "Tux").click();
    await opened(page, "bought");
    const [number, found] = [page.getByLabel("Order number"), page.locator("#found")];
    const lookUp = async (text) => {
      await number.fill(text);
      await page.getByRole("button", { name: "Look up" }).click();
    };
    await lookUp("1");
    await says(found, "Order 1: 1 × Tux");
    assert.equal(new URL(page.url()).hash, "#order-1");
    await lookUp("2");
    await says(found, "There is no order 2.");
    await lookUp("0");
    await says(found, "0 is not an order number: order numbers start at 1.");
    await lookUp("Tux");
    assert(await number.evaluate((input) => input.matches(":invalid")));
    await page.getByRole("region", { name: "Orders" }).getByRole("link", { name: "Order 1" }).click();
    await says(found, "Order 1: 1 × Tux");

    const later = await open(browser, `${store.url}#order-1`);
    await says(later.locator("#found"), "Order 1: 1 × Tux");
    assert.equal(await later.getByText("Your orders in this visit").isVisible(), false, "that was another visit");
    await close(later);
  });

  test("a toy that is sold out says so, and comes back by itself", async (t) => {
    const { store, page } = await shop(t, { toys: ODD_TOYS });
    await says(card(page, "Tux"), "only 3 left");
    await quantity(page, "Tux").fill("3");
    await buyButton(page, "Tux").click();
    const button = page.getByRole("button", { name: "Sold out Tux" });
    await button.waitFor();
    assert(await button.isDisabled());
    const keys = keysOf(page);
    await button.click({ force: true });
    assert.deepEqual(keys, [], "nothing is sent");

    await store.kill("catalog");
    store.start("catalog", ["--catalog-reset-stock=true"]);
    await says(card(page, "Tux"), "100 in stock");
    await buyButton(page, "Tux").click();
    await says(slip(page, "Tux"), "Order 2");
  });

  test("a front-end that dies and comes back sells once", async (t) => {
    const { store, page } = await shop(t);
    const keys = keysOf(page);
    await store.kill("frontend");
    await buyInVain(page);
    await says(page.locator("#trouble"), "The store is not answering.");
    store.start("frontend");
    await says(slip(page, "Whale"), "Order 1");
    await says(card(page, "Whale"), "99 in stock");
    await page.locator("#trouble:empty").waitFor({ state: "attached" });
    assert(keys.length > 1, "it was asked for again");
    assert.match(keys[0], /^[0-9a-f]{32}$/);
    assert.equal(new Set(keys).size, 1, "always with the same key");
    assert.equal(await store.orders(), 1);
  });

  test("a store without replicas sells once they are back", async (t) => {
    const { store, page } = await shop(t, { flags: ["--frontend-purchase-deadline-ms=500"] });
    const replicas = ["order-1", "order-2", "order-3"];
    for (const replica of replicas) await store.kill(replica);
    await buyInVain(page);
    for (const replica of replicas) store.start(replica);
    await says(slip(page, "Whale"), "Order 1");
    assert.equal(await store.orders(), 1);
  });

  test("an answer that is lost on the way does not buy twice", async (t) => {
    const { store, page } = await shop(t);
    let lost = 0;
    await page.route("**/orders", async (route) => {
      if (lost === 2) return route.continue();
      lost += 1;
      await route.fetch();
      await route.abort();
    });
    await buyButton(page, "Whale").click();
    await says(slip(page, "Whale"), "Order 1");
    assert.equal(lost, 2);
    assert.equal(await store.orders(), 1);
  });

  test("a purchase that was cancelled, or left by a reload, keeps its key", async (t) => {
    const { store, page } = await shop(t);
    const keys = keysOf(page);
    await page.route("**/orders", (route) => route.abort());
    await buyInVain(page);
    await slip(page, "Whale").getByRole("button", { name: "Cancel" }).click();
    await says(slip(page, "Whale"), "The store may have received your order of 1, or not.");
    assert(await buyButton(page, "Whale").isDisabled(), "one purchase of a toy at a time");
    await page.reload();
    await page.unroute("**/orders");
    await slip(page, "Whale").getByRole("button", { name: "Try again" }).click();
    await says(slip(page, "Whale"), "Order 1");
    assert.equal(new Set(keys).size, 1);

    await page.reload();
    await page.getByText("Your orders in this visit").waitFor();
    assert.equal(await slip(page, "Whale").textContent(), "", "a finished purchase is not shown any more");
    await buyButton(page, "Whale").click();
    await says(slip(page, "Whale"), "Order 2");
    assert.equal(new Set(keys).size, 2, "another purchase, another key");
    assert.equal(await store.orders(), 2);
  });

  test("a page that gives up offers to try again, or to dismiss the purchase", async (t) => {
    const { store, page } = await shop(t);
    const keys = keysOf(page);
    await page.clock.install();
    await page.reload();
    await page.route("**/orders", (route) => route.abort());
    await buyButton(page, "Whale").click();
    const again = slip(page, "Whale").getByRole("button", { name: "Try again" });
    await until("it gives up", async () => {
      await page.clock.runFor(1000);
      return again.isVisible();
    });
    const attempts = keys.length;
    assert(attempts > 5, `${attempts} attempts`);
    await slip(page, "Whale").getByRole("button", { name: "Dismiss" }).click();
    await page.unroute("**/orders");
    await buyButton(page, "Whale").click();
    await says(slip(page, "Whale"), "Order 1");
    assert.equal(new Set(keys).size, 2);
    assert.equal(await store.orders(), 1);
  });

  test("nobody asks for the stock while nobody looks", async (t) => {
    const { page } = await shop(t);
    await page.clock.install();
    await page.reload();
    await page.locator(".card").first().waitFor();
    let questions = 0;
    page.on("request", () => (questions += 1));
    const look = (hidden) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await until("it asks", async () => {
      await page.clock.runFor(1000);
      return questions > 2;
    });
    await look(true);
    questions = 0;
    await page.clock.runFor(30_000);
    assert.equal(questions, 0);
    await look(false);
    await until("it asks again", () => questions > 0);
  });

  test("a shop that opens before the catalog fills its shelf later", async (t) => {
    const store = await Store.open();
    t.after(() => store.close());
    await store.kill("catalog");
    const page = await open(browser, store.url);
    t.after(() => close(page));
    await says(page.locator("#trouble"), "The store is not answering.");
    store.start("catalog");
    await page.locator(".card").nth(9).waitFor();
    assert.equal(await page.getByText("Loading toys").isVisible(), false);
  });

  test("the keyboard is enough: focus is seen, and goes in reading order", async (t) => {
    const { page } = await shop(t, { toys: "name,price,quantity\nTux,19.9,100\nFox,14.5,100\n" });
    const expected = [
      ...["Tux", "Fox"].flatMap((name) => [`One ${name} less`, `How many of ${name}`, `One ${name} more`, `Buy ${name}`]),
      "Order number",
      "Look up",
    ];
    const seen = [];
    for (const _ of expected) {
      await page.keyboard.press("Tab");
      seen.push(await focused(page));
    }
    assert.deepEqual(seen.map(({ name }) => name), expected);
    for (const { name, outline, inView } of seen) assert(outline >= 2 && inView, `${name} is seen to have the focus`);

    for (const _ of expected.slice(3)) await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    assert.equal(await quantity(page, "Tux").inputValue(), "2");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.type("3");
    await page.keyboard.press("Enter");
    await says(slip(page, "Tux"), "3 × Tux");
    for (const _ of ["more", "buy", "link"]) await page.keyboard.press("Tab");
    assert.equal((await focused(page)).name, "Show order");
    await page.keyboard.press("Enter");
    await says(page.locator("#found:focus"), "Order 1: 3 × Tux");
  });

  test("whoever presses a button that goes away keeps the focus nearby", async (t) => {
    const { store, page } = await shop(t, { toys: ODD_TOYS });
    await quantity(page, "Tux").fill("3");
    await quantity(page, "Tux").press("Enter");
    await page.getByRole("button", { name: "Sold out Tux" }).waitFor();
    assert.equal((await focused(page)).name, "How many of Tux");
    await store.kill("frontend");
    await buyInVain(page);
    await slip(page, "Whale").getByRole("button", { name: "Cancel" }).press("Enter");
    assert.equal((await focused(page)).name, "Try again");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal((await focused(page)).name, "Buy Whale");
  });

  test("a phone shows all of it, and a thumb hits it", async (t) => {
    const { page } = await shop(t, { toys: ODD_TOYS, viewport: PHONE });
    await buyButton(page, "Tux").click();
    await opened(page, "bought");
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, PHONE.width, "nothing scrolls sideways");
    const small = await page.locator("button, input, a").evaluateAll((all) => {
      const seen = all.filter((element) => element.checkVisibility());
      const sizes = seen.map((element) => [element.outerHTML, element.getBoundingClientRect()]);
      return sizes.filter(([, { width, height }]) => width < 44 || height < 44).map(([html]) => html);
    });
    assert.deepEqual(small, []);
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`everybody can read it, ${colorScheme}`, async (t) => {
      const { store, page } = await shop(t, { toys: ODD_TOYS, colorScheme });
      assert(await page.evaluate((scheme) => matchMedia(`(prefers-color-scheme: ${scheme})`).matches, colorScheme));
      await buyButton(page, "Tux").click();
      await slip(page, "Tux").getByRole("link", { name: "Show order" }).click();
      await says(page.locator("#found"), "Order 1: 1 × Tux");
      await quantity(page, "Teapot").fill("2001");
      await buyButton(page, "Teapot").click();
      await opened(page, "refused");
      await assertAccessible(page);

      await store.kill("frontend");
      await buyButton(page, MEAN_NAME).click();
      await buyInVain(page);
      await slip(page, "Whale").getByRole("button", { name: "Cancel" }).click();
      await opened(page, "waiting");
      await opened(page, "stopped");
      await says(page.locator("#trouble"), "The store is not answering.");
      await assertAccessible(page);
    });
  }

  test("toys of one's own are sold, whatever they are called", async (t) => {
    const { store, page } = await shop(t, { toys: ODD_TOYS });
    page.on("dialog", (dialog) => assert.fail(`a toy ran a script: ${dialog.message()}`));
    assert.equal(await page.locator(".card img").count(), 0);
    await buyButton(page, MEAN_NAME).click();
    await says(slip(page, MEAN_NAME), `1 × ${MEAN_NAME}, $5.00`);
    await page.getByRole("link", { name: "Show order" }).click();
    await says(page.locator("#found"), `Order 1: 1 × ${MEAN_NAME}`);
    await quantity(page, MEAN_NAME).fill("11");
    await buyButton(page, MEAN_NAME).click();
    await says(slip(page, MEAN_NAME), "There are only 9 left.");
    assert.equal(await card(page, "Teapot").locator(".price").textContent(), "$1,234.50");
    assert.equal(await store.orders(), 1);
  });

  test("a hundred toys are a hundred cards", async (t) => {
    const toys = Array.from({ length: 100 }, (_, number) => `Toy ${number},1,${number}\n`).join("");
    const { page } = await shop(t, { toys: `name,price,quantity\n${toys}` });
    await page.locator(".card").nth(99).waitFor();
    await says(card(page, "Toy 99"), "99 in stock");
    await page.getByRole("button", { name: "Sold out Toy 0" }).waitFor();
  });
});
