/** A visitor of the page: a browser of their own, and eyes for what must not happen there. */

import assert from "node:assert/strict";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { findChromium } from "./chromium.ts";

const SCREENSHOTS = new URL("../../../data/screenshots/", import.meta.url).pathname;

/** Milliseconds within which what is waited for has to happen. */
const PATIENCE = 15_000;

export async function launch(): Promise<Browser> {
  const executablePath = await findChromium();
  assert.ok(executablePath, "there is Chromium: see deno task test:e2e");
  // A sandbox cannot be had as root.
  const args = Deno.uid() === 0 ? ["--no-sandbox"] : [];
  return await chromium.launch({ executablePath, args });
}

export interface VisitOptions extends BrowserContextOptions {
  /** What the browser may complain of, such as a worker that is not there. */
  expected?: RegExp;
  /** Whether replies are as the page would have them, by chance, or always the same. */
  byChance?: boolean;
}

export class Visit implements AsyncDisposable {
  readonly page: Page;
  /** What went wrong on the page. */
  readonly problems: string[] = [];

  private constructor(page: Page, expected: RegExp | undefined) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE);
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
    { expected, byChance = false, ...options }: VisitOptions = {},
  ): Promise<Visit> {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      ...options,
    });
    if (!byChance) {
      await context.addInitScript(() => {
        localStorage["rwkv.settings"] ??= JSON.stringify({ temperature: 0 });
      });
    }
    const visit = new Visit(await context.newPage(), expected);
    await visit.page.goto(url);
    return visit;
  }

  /** The state that the address names. */
  get state(): string {
    return new URL(this.page.url()).hash.slice(1);
  }

  /** Sends a message, as somebody who types it. */
  async say(text: string): Promise<void> {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** Sends a message, and waits for the whole reply. */
  async ask(text: string): Promise<string> {
    const turn = await this.page.locator(".turn").count();
    await this.say(text);
    await this.turnsAre(turn + 1);
    return await this.reply();
  }

  /** Waits until there are this many turns, and nothing is being written. */
  async turnsAre(count: number): Promise<void> {
    await this.page.waitForFunction(
      (count) =>
        document.querySelectorAll(".turn").length === count &&
        !document.body.classList.contains("busy"),
      count,
    );
  }

  /** The text of a turn's reply, of the last one unless told. */
  async reply(turn = -1): Promise<string> {
    return (await this.page.locator(".turn .prose").nth(turn).innerText()).trim();
  }

  /** What the user said in each turn. */
  async questions(): Promise<string[]> {
    return await this.page.locator(".bubble").allInnerTexts();
  }

  /** Fields of the settings, by their labels. */
  async set(values: Record<string, string>): Promise<void> {
    await this.page.getByRole("button", { name: "Settings" }).click();
    for (const [label, value] of Object.entries(values)) {
      await this.page.getByLabel(label, { exact: true }).fill(value);
    }
    await this.page.getByRole("button", { name: "Done" }).click();
  }

  /** From here on the model repeats itself without an end. */
  async setEndless(): Promise<void> {
    const penalties = { "Repetition penalty": "0.1", "Frequency penalty": "-2" };
    await this.set({ ...penalties, "Top p": "0.5", "Max tokens": "20000" });
  }

  /** Waits for a text of the reply that is being written to grow. */
  async grows(): Promise<void> {
    const length = (await this.reply()).length;
    await this.page.waitForFunction(
      (length) => [...document.querySelectorAll(".prose")].at(-1)!.textContent!.length > length,
      length,
    );
  }

  /** Nothing that axe knows of hinders anybody here. */
  async assertAccessible(): Promise<void> {
    await this.page.evaluate(axe.source);
    const found = await this.page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document);
      return violations.map(({ id, nodes }) =>
        `${id}: ${nodes.map(({ html }) => html).join("; ")}`
      );
    });
    assert.deepEqual(found, []);
  }

  async screenshot(name: string): Promise<void> {
    await this.page.screenshot({ path: `${SCREENSHOTS}${name}.png`, animations: "disabled" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    assert.deepEqual(this.problems, []);
  }
}
