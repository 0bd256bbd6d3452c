/** Accessibility: keyboard, screen readers, phones, dark mode, right-to-left text. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";
import { MARKDOWN, stateWithReply } from "./transcripts.ts";
import type { Visit } from "./visit.ts";

const fixture = BrowserFixture.forTests();

const PHONE = { viewport: { width: 360, height: 700 }, hasTouch: true, isMobile: true };

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`axe reports no violations in the ${colorScheme} theme`, async () => {
    const path = `/#${await stateWithReply(fixture.worker.url, MARKDOWN)}`;
    await using empty = await fixture.visit({ colorScheme });
    await empty.page.locator(".example").first().waitFor();
    await empty.screenshot(`empty-${colorScheme}`);
    await empty.assertAccessible();
    await empty.page.getByRole("button", { name: "Settings" }).click();
    await empty.screenshot(`settings-${colorScheme}`);
    await empty.assertAccessible();
    await using visit = await fixture.visit({ colorScheme, path });
    await visit.waitForTurns(2);
    await assertFits(visit);
    await visit.page.getByRole("button", { name: "Edit message" }).last().click();
    await visit.page.evaluate(() => document.querySelector("main")!.scrollTo(0, 0));
    await visit.screenshot(`markdown-${colorScheme}`);
    await visit.assertAccessible();
    await visit.page.keyboard.press("Escape");
    await visit.page.getByRole("button", { name: "Retry the reply" }).last().click();
    await visit.page.getByText("2 / 2").waitFor();
    await visit.waitForTurns(2);
    await visit.assertAccessible();
    await using phone = await fixture.visit({ colorScheme, path, ...PHONE });
    await phone.waitForTurns(2);
    await phone.page.getByRole("button", { name: "Conversations" }).click();
    await phone.screenshot(`phone-drawer-${colorScheme}`);
    await phone.assertAccessible();
  });
}

Deno.test("everything fits the width of a phone", async () => {
  const long = "an_unbroken_name_".repeat(20);
  const reply = `${MARKDOWN}\n\n${long}\n\n\`${long}\``;
  const path = `/#${await stateWithReply(fixture.worker.url, reply)}`;
  await using visit = await fixture.visit({ ...PHONE });
  const { page } = visit;
  await page.locator(".example").first().waitFor();
  await visit.screenshot("phone-empty");
  await assertFits(visit);
  await page.goto(`${fixture.worker.url}${path}`);
  await visit.waitForTurns(2);
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
  await visit.waitForTurns(0);
  await page.locator("#sidebar").waitFor({ state: "hidden" });
  await visit.sendAndWait("Hi! My name is Ada.");
});

Deno.test("every control is reachable by keyboard, in order", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  const press = async (...keys: string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = () =>
    page.evaluate(() => {
      const { activeElement: active } = document;
      return active?.getAttribute("aria-label") || active?.textContent?.trim() || active?.id;
    });
  await page.locator(".example").first().waitFor();
  // The message field has the focus after the page loads.
  await page.keyboard.type("Hi! My name is Ada.");
  await press("Enter");
  await visit.waitForTurns(1);
  await page.keyboard.type("What is my name?");
  await press("Enter");
  await visit.waitForTurns(2);
  await page.reload();
  await visit.waitForTurns(2);
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
  // Fork with the keyboard only.
  await page.getByRole("button", { name: "Edit message" }).last().focus();
  await press("Enter", "Control+A");
  await page.keyboard.type("What is the capital of France?");
  await press("Enter");
  await page.getByText("2 / 2").waitFor();
  await visit.waitForTurns(2);
  await page.getByRole("button", { name: "Earlier variant" }).focus();
  await press("Enter");
  await page.getByText("1 / 2").waitFor();
  await visit.waitForTurns(2);
  assert.equal(await focused(), "Later variant");
  // Closing the dialog restores the focus.
  await page.getByRole("button", { name: "Settings" }).focus();
  await press("Enter");
  assert.equal(await focused(), "system");
  await press("Escape");
  assert.equal(await focused(), "Settings");
});

Deno.test("a screen reader announces a reply once, when it is complete", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await page.evaluate(() => {
    const live = "[aria-live], [role=status], [role=alert], [role=log]";
    const announced: string[] = [];
    Object.assign(globalThis, { announced });
    new MutationObserver((changes) => {
      for (const { target } of changes) {
        const element = target instanceof Element ? target : target.parentElement;
        const text = element?.closest(live)?.textContent;
        if (text) announced.push(text);
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  const reply = await visit.sendAndWait("Tell me a story about a fox.");
  const announced = await page.evaluate(() =>
    (globalThis as unknown as { announced: string[] }).announced
  );
  const words = reply.slice(0, 20);
  assert.deepEqual(
    announced.filter((text) => text.includes(words)).length,
    1,
    announced.join("\n"),
  );
  assert.equal(announced.find((text) => text.includes(words))!.trim(), reply);
});

Deno.test("right-to-left text and emoji are displayed correctly", async () => {
  await using visit = await fixture.visit();
  await visit.send("שלום 👋🏽 מה שלומך");
  await visit.waitForTurns(1);
  const direction = await visit.page.locator(".bubble").evaluate((bubble) =>
    getComputedStyle(bubble).direction
  );
  assert.equal(direction, "rtl");
  assert.deepEqual(await visit.questions(), ["שלום 👋🏽 מה שלומך"]);
  await visit.screenshot("right-to-left");
});

Deno.test("the chosen theme is stored, and reduced motion disables animations", async () => {
  await using visit = await fixture.visit({ colorScheme: "light", reducedMotion: "reduce" });
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
  await visit.setEndlessReplies();
  await visit.send("Hello");
  await visit.waitForGrowth();
  const animation = await page.evaluate(() =>
    getComputedStyle(document.querySelector(".writing .prose")!, "::after").animationName
  );
  assert.equal(animation, "none");
  await page.keyboard.press("Escape");
  await visit.waitForTurns(1);
});

/** Asserts that the page has no horizontal overflow and that its layout does not scroll. */
async function assertFits({ page }: Visit): Promise<void> {
  const overflow = await page.evaluate(() => {
    const { scrollWidth, scrollHeight } = document.documentElement;
    const { scrollWidth: mainWidth, clientWidth } = document.querySelector("main")!;
    const body = document.body.scrollHeight - innerHeight;
    return [scrollWidth - innerWidth, scrollHeight - innerHeight, body, mainWidth - clientWidth];
  });
  assert.deepEqual(overflow, [0, 0, 0, 0]);
}
