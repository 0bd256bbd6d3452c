/** For everybody: by keyboard, with a screen reader, on a phone, in the dark, from right to left. */

import assert from "node:assert/strict";
import { Stage } from "./stage.ts";
import { MARKDOWN, stateWithReply } from "./transcripts.ts";
import type { Visit } from "./visit.ts";

const stage = Stage.forTests();

const PHONE = { viewport: { width: 360, height: 700 }, hasTouch: true, isMobile: true };

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`axe finds nothing wrong, ${colorScheme}`, async () => {
    const path = `/#${await stateWithReply(stage.worker.url, MARKDOWN)}`;
    await using empty = await stage.visit({ colorScheme });
    await empty.page.locator(".example").first().waitFor();
    await empty.screenshot(`empty-${colorScheme}`);
    await empty.assertAccessible();
    await empty.page.getByRole("button", { name: "Settings" }).click();
    await empty.screenshot(`settings-${colorScheme}`);
    await empty.assertAccessible();
    await using visit = await stage.visit({ colorScheme, path });
    await visit.turnsAre(2);
    await assertFits(visit);
    await visit.page.getByRole("button", { name: "Edit message" }).last().click();
    await visit.page.evaluate(() => document.querySelector("main")!.scrollTo(0, 0));
    await visit.screenshot(`markdown-${colorScheme}`);
    await visit.assertAccessible();
    await visit.page.keyboard.press("Escape");
    await visit.page.getByRole("button", { name: "Retry the reply" }).last().click();
    await visit.page.getByText("2 / 2").waitFor();
    await visit.turnsAre(2);
    await visit.assertAccessible();
    await using phone = await stage.visit({ colorScheme, path, ...PHONE });
    await phone.turnsAre(2);
    await phone.page.getByRole("button", { name: "Conversations" }).click();
    await phone.screenshot(`phone-drawer-${colorScheme}`);
    await phone.assertAccessible();
  });
}

Deno.test("a phone shows everything in its width", async () => {
  const long = "an_unbroken_name_".repeat(20);
  const reply = `${MARKDOWN}\n\n${long}\n\n\`${long}\``;
  const path = `/#${await stateWithReply(stage.worker.url, reply)}`;
  await using visit = await stage.visit({ ...PHONE });
  const { page } = visit;
  await page.locator(".example").first().waitFor();
  await visit.screenshot("phone-empty");
  await assertFits(visit);
  await page.goto(`${stage.worker.url}${path}`);
  await visit.turnsAre(2);
  await assertFits(visit);
  await visit.screenshot("phone-end");
  await page.evaluate(() => document.querySelector("main")!.scrollTo(0, 0));
  await visit.screenshot("phone-conversation");
  await page.getByRole("button", { name: "Settings" }).click();
  await visit.screenshot("phone-settings");
  await assertFits(visit);
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("button", { name: "Conversations" }).click();
  await page.getByRole("button", { name: "New chat" }).click();
  await visit.turnsAre(0);
  await page.locator("#sidebar").waitFor({ state: "hidden" });
  await visit.ask("Hi! My name is Ada.");
});

Deno.test("everything can be reached by keyboard, in order", async () => {
  await using visit = await stage.visit();
  const { page } = visit;
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = () =>
    page.evaluate(() => {
      const { activeElement: at } = document;
      return at?.getAttribute("aria-label") || at?.textContent?.trim() || at?.id;
    });
  await page.locator(".example").first().waitFor();
  // The message has the focus from the start.
  await page.keyboard.type("Hi! My name is Ada.");
  await press("Enter");
  await visit.turnsAre(1);
  await page.keyboard.type("What is my name?");
  await press("Enter");
  await visit.turnsAre(2);
  await page.reload();
  await visit.turnsAre(2);
  await page.getByRole("link", { name: "Skip to the message" }).focus();
  const order: unknown[] = [await focused()];
  while (order.at(-1) !== "Send" && order.length < 40) {
    await press("Tab");
    order.push(await focused());
  }
  assert.deepEqual(order, [
    "Skip to the message",
    "New chat",
    "Hi! My name is Ada.",
    "Remove Hi! My name is Ada.",
    "Copy link",
    "Export this conversation",
    "Import a file…",
    "Theme: system",
    "API reference",
    "Settings",
    "Edit message",
    "Copy the reply",
    "Retry the reply",
    "Edit message",
    "Copy the reply",
    "Retry the reply",
    "input",
    "Send",
  ]);
  // A fork, without a mouse.
  await page.getByRole("button", { name: "Edit message" }).last().focus();
  await press("Enter", "Control+A");
  await page.keyboard.type("What is the capital of France?");
  await press("Enter");
  await page.getByText("2 / 2").waitFor();
  await visit.turnsAre(2);
  await page.getByRole("button", { name: "Earlier variant" }).focus();
  await press("Enter");
  await page.getByText("1 / 2").waitFor();
  await visit.turnsAre(2);
  assert.equal(await focused(), "Later variant");
  // The dialog gives the focus back.
  await page.getByRole("button", { name: "Settings" }).focus();
  await press("Enter");
  assert.equal(await focused(), "system");
  await press("Escape");
  assert.equal(await focused(), "Settings");
});

Deno.test("a screen reader is told a reply once, at its end", async () => {
  await using visit = await stage.visit();
  const { page } = visit;
  await page.evaluate(() => {
    const live = "[aria-live], [role=status], [role=alert], [role=log]";
    const told: string[] = [];
    Object.assign(globalThis, { told });
    new MutationObserver((changes) => {
      for (const { target } of changes) {
        const at = target instanceof Element ? target : target.parentElement;
        const text = at?.closest(live)?.textContent;
        if (text) told.push(text);
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  const reply = await visit.ask("Tell me a story about a fox.");
  const told = await page.evaluate(() => (globalThis as unknown as { told: string[] }).told);
  const words = reply.slice(0, 20);
  assert.deepEqual(told.filter((text) => text.includes(words)).length, 1, told.join("\n"));
  assert.equal(told.find((text) => text.includes(words))!.trim(), reply);
});

Deno.test("text from right to left, and pictures, stand as they should", async () => {
  await using visit = await stage.visit();
  await visit.say("שלום 👋🏽 מה שלומך");
  await visit.turnsAre(1);
  const direction = await visit.page.locator(".bubble").evaluate((bubble) =>
    getComputedStyle(bubble).direction
  );
  assert.equal(direction, "rtl");
  assert.deepEqual(await visit.questions(), ["שלום 👋🏽 מה שלומך"]);
  await visit.screenshot("right-to-left");
});

Deno.test("the theme can be chosen, is kept, and nothing moves for those who don't want it", async () => {
  await using visit = await stage.visit({ colorScheme: "light", reducedMotion: "reduce" });
  const { page } = visit;
  const scheme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.getByRole("button", { name: "Theme: system" }).click();
  await page.getByRole("button", { name: "Theme: light" }).click();
  await page.getByRole("button", { name: "Theme: dark" }).waitFor();
  await page.reload();
  assert.equal(await scheme(), "dark");
  const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notEqual(dark, light);
  await visit.setEndless();
  await visit.say("Hello");
  await visit.grows();
  const animation = await page.evaluate(() =>
    getComputedStyle(document.querySelector(".writing .prose")!, "::after").animationName
  );
  assert.equal(animation, "none");
  await page.keyboard.press("Escape");
  await visit.turnsAre(1);
});

/** Nothing has to be scrolled sideways but what scrolls by itself, and the frame stays in place. */
async function assertFits({ page }: Visit): Promise<void> {
  const beyond = await page.evaluate(() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    const { scrollWidth: width, clientWidth } = document.querySelector("main")!;
    const frame = document.body.scrollHeight - innerHeight;
    return [scrollWidth - innerWidth, scrollHeight - innerHeight, frame, width - clientWidth];
  });
  assert.deepEqual(beyond, [0, 0, 0, 0]);
}
