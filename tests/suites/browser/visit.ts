/** One visit of the page, in its own browser context. Records console errors and foreign requests. */

import assert from "node:assert/strict";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { findChromium } from "./chromium.ts";

const SCREENSHOTS = new URL("../../../data/screenshots/", import.meta.url).pathname;

/** The timeout of every wait. */
const TIMEOUT_MS = 15_000;

export async function launch(): Promise<Browser> {
  const executablePath = await findChromium();
  assert.ok(executablePath, "Cannot find Chromium: run deno task test:e2e, which installs it");
  // Chromium cannot use its sandbox as root.
  const args = Deno.uid() === 0 ? ["--no-sandbox"] : [];
  return await chromium.launch({ executablePath, args });
}

export interface VisitOptions extends BrowserContextOptions {
  /** Console messages to ignore, such as those about an unreachable worker. */
  expected?: RegExp;
  /** Uses the page's default sampling; otherwise the temperature is 0 and replies are deterministic. */
  randomSampling?: boolean;
}

export class Visit implements AsyncDisposable {
  readonly page: Page;
  /** Console errors, exceptions and requests to other hosts. A visit fails if there are any. */
  readonly problems: string[] = [];

  private constructor(page: Page, expected: RegExp | undefined) {
    this.page = page;
    page.setDefaultTimeout(TIMEOUT_MS);
    const origins = new Set<string>();
    page.on("framenavigated", (frame) => origins.add(new URL(frame.url()).origin));
    page.on("console", (message) => {
      const text = `${message.type()}: ${message.text()} ${message.location().url}`;
      if (!["error", "warning"].includes(message.type()) || expected?.test(text)) return;
      this.problems.push(text);
    });
    page.on("pageerror", (error) => this.problems.push(error.stack ?? error.message));
    page.context().on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (["data:", "blob:"].includes(protocol) || request.isNavigationRequest()) return;
      if (!origins.has(origin)) this.problems.push(`request to ${request.url()}`);
    });
  }

  static async begin(
    browser: Browser,
    url: string,
    { expected, randomSampling = false, ...options }: VisitOptions = {},
  ): Promise<Visit> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      ...options,
    });
    if (!randomSampling) {
      await context.addInitScript(() => {
        localStorage["rwkv.settings"] ??= JSON.stringify({ temperature: 0 });
      });
    }
    const visit = new Visit(await context.newPage(), expected);
    await visit.page.goto(url);
    return visit;
  }

  /** The id of the state in the address. */
  get state(): string {
    return new URL(this.page.url()).hash.slice(1);
  }

  /** Sends a message with the keyboard. */
  async send(text: string): Promise<void> {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** Sends a message, and waits for the complete reply. */
  async sendAndWait(text: string): Promise<string> {
    const turn = await this.page.locator(".turn").count();
    await this.send(text);
    await this.waitForTurns(turn + 1);
    return await this.reply();
  }

  /** Waits until there are this many turns and no reply is being generated. */
  async waitForTurns(count: number): Promise<void> {
    await this.page.waitForFunction(
      (count) =>
        document.querySelectorAll(".turn").length === count &&
        !document.body.classList.contains("busy"),
      count,
    );
  }

  /** Returns the text of a turn's reply, by default the last turn's. */
  async reply(turn = -1): Promise<string> {
    return (await this.page.locator(".turn .prose").nth(turn).innerText()).trim();
  }

  /** Returns the user's message of each turn. */
  async questions(): Promise<string[]> {
    return await this.page.locator(".bubble").allInnerTexts();
  }

  /** Fills fields of the settings dialog, by their labels. */
  async fillSettings(values: Record<string, string>): Promise<void> {
    await this.page.getByRole("button", { name: "Settings" }).click();
    for (const [label, value] of Object.entries(values)) {
      await this.page.getByLabel(label, { exact: true }).fill(value);
    }
    await this.page.getByRole("button", { name: "Done" }).click();
  }

  /** Sets sampling parameters with which the model repeats itself endlessly. */
  async setEndlessReplies(): Promise<void> {
    const penalties = { "Repetition penalty": "0.1", "Frequency penalty": "-2" };
    await this.fillSettings({ ...penalties, "Top p": "0.5", "Max tokens": "20000" });
  }

  /** Waits until the current reply has more text. */
  async waitForGrowth(): Promise<void> {
    const length = (await this.reply()).length;
    await this.page.waitForFunction(
      (length) => [...document.querySelectorAll(".prose")].at(-1)!.textContent!.length > length,
      length,
    );
  }

  /** Asserts that axe finds no violations on the page. */
  async assertAccessible(): Promise<void> {
    await this.page.evaluate(axe.source);
    const reported = await this.page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document);
      return violations.map(({ id, nodes }) =>
        `${id}: ${nodes.map(({ html }) => html).join("; ")}`
      );
    });
    assert.deepEqual(reported, []);
  }

  async screenshot(name: string): Promise<void> {
    await this.page.screenshot({ path: `${SCREENSHOTS}${name}.png`, animations: "disabled" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    assert.deepEqual(this.problems, []);
  }
}
