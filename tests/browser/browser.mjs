// Starts a real browser, and checks what holds for every page: no error in the console, no request to another host,
// and no violation of the accessibility rules of axe-core.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { chromium } from "playwright-core";
import { ROOT } from "./store.mjs";
import { PATIENCE_MS } from "./until.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The directory for screenshots, from the root of the repository. Without it none are made. */
const SCREENSHOTS = process.env.SCREENSHOTS && resolve(ROOT, process.env.SCREENSHOTS);

/** Debian's Chromium, with a new profile and without update checks. */
export function launch() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Opens `url` in a new context, and records errors. `context` has its options: viewport, colorScheme. */
export async function open(browser, url, context = {}) {
  const page = await browser.newPage({ reducedMotion: "reduce", ...context });
  page.setDefaultTimeout(PATIENCE_MS);
  const { origin } = new URL(url);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(`error: ${error.stack}`));
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type()) || isRefusal(message)) return;
    page.complaints.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== origin) page.complaints.push(`foreign: ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/**
 * The browser's own message about a request that was refused or failed. The page has handled it. The browser asks for the icon when it
 * likes, also after a test has killed the server.
 */
function isRefusal(message) {
  const { pathname } = new URL(message.location().url || "about:blank");
  if (!message.text().startsWith("Failed to load resource")) return false;
  if (pathname.endsWith("/assets/icon.svg")) return message.text().includes("net::ERR_CONNECTION");
  return !pathname.includes("/assets/") && !pathname.endsWith("/");
}

/** Closes a page. Fails if the page had an error. */
export async function close(page) {
  await page.context().close();
  assert.deepEqual(page.complaints, []);
}

/** Fails with each violation of the rules of axe-core, contrast included. */
export async function assertAccessible(page) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(told, []);
  assert(passes.some(({ id }) => id === "color-contrast"), "contrast was checked");
}

/** Makes a screenshot of the page for the README, if screenshots are wanted. */
export async function screenshot(page, name) {
  if (!SCREENSHOTS) return;
  const path = join(SCREENSHOTS, name);
  await page.screenshot({ path });
  await promisify(execFile)("pngquant", ["--force", "--ext", ".png", "--strip", "--nofs", "256", path]);
}
