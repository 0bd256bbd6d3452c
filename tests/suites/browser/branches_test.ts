/** Branches: editing or retrying a past turn, and switching back to earlier variants. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";
import type { Visit } from "./visit.ts";

const fixture = BrowserFixture.forTests();

Deno.test("editing a turn creates a branch, and the earlier branch stays reachable after a reload", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.sendAndWait("Hi! My name is Ada.");
  const first = visit.state;
  await visit.sendAndWait("What is my name?");
  await visit.sendAndWait("Tell me a story about a fox.");
  const [story, end] = [await visit.reply(), visit.state];
  await edit(visit, 1, "What is the capital of France?");
  await visit.waitForTurns(2);
  assert.match(await visit.reply(), /Paris/);
  assert.notEqual(visit.state, end);
  assert.deepEqual(await visit.questions(), [
    "Hi! My name is Ada.",
    "What is the capital of France?",
  ]);
  assert.equal(await variantPosition(visit), "Variant 2 / 2");
  await visit.screenshot("fork");
  await page.reload();
  await visit.waitForTurns(2);
  await page.getByRole("button", { name: "Earlier variant" }).click();
  await visit.waitForTurns(3);
  assert.equal(visit.state, end);
  assert.equal(await visit.reply(), story);
  assert.equal(await variantPosition(visit), "Variant 1 / 2");
  // Each branch continues from its own messages.
  await page.getByRole("button", { name: "Later variant" }).click();
  await visit.waitForTurns(2);
  assert.match(await visit.sendAndWait("What is my name?"), /Ada/);
  // A link to an earlier turn offers the turns after it.
  await page.goto(`${fixture.worker.url}/#${first}`);
  await visit.waitForTurns(1);
  await page.getByRole("button", { name: /Show the later turns/ }).click();
  await visit.waitForTurns(3);
});

Deno.test("an edited turn resumes the state before it, so earlier turns are not reprocessed", async () => {
  await using visit = await fixture.visit();
  await visit.sendAndWait("Hi! My name is Ada.");
  const before = visit.state;
  await visit.sendAndWait("Tell me a story about a fox.");
  const sent = visit.page.waitForRequest(/chat\/completions/);
  await edit(visit, 1, "What is my name?");
  await visit.waitForTurns(2);
  const body = (await sent).postDataJSON();
  assert.equal(body.state_id, before);
  assert.deepEqual(body.messages, [{ role: "user", content: "What is my name?" }]);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("editing the first turn preserves its system prompt", async () => {
  await using visit = await fixture.visit();
  await visit.fillSettings({ "System prompt": "Be kind." });
  await visit.sendAndWait("Hello");
  const sent = visit.page.waitForRequest(/chat\/completions/);
  await edit(visit, 0, "Hi! My name is Ada.");
  await visit.waitForTurns(1);
  const { messages, state_id } = (await sent).postDataJSON();
  assert.equal(state_id, undefined);
  assert.deepEqual(messages.map(({ content }: { content: string }) => content), [
    "Be kind.",
    "Hi! My name is Ada.",
  ]);
  assert.equal(await variantPosition(visit), "Variant 2 / 2");
  assert.equal(await visit.page.getByRole("list", { name: "Recent" }).getByRole("link").count(), 1);
});

Deno.test("retrying a reply adds a different variant even with a fixed seed", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.fillSettings({ "Top p": "1", Temperature: "1.5", Seed: "3" });
  await visit.sendAndWait("Tell me a story.");
  const first = await visit.reply();
  for (let tries = 2; tries < 4; tries++) {
    await page.getByRole("button", { name: "Retry the reply" }).click();
    await page.getByText(`${tries} / ${tries}`).waitFor();
    await visit.waitForTurns(1);
    assert.notEqual(await visit.reply(), first);
  }
  await page.getByRole("button", { name: "Earlier variant" }).click();
  await page.getByText("2 / 3").waitFor();
  await page.getByRole("button", { name: "Earlier variant" }).click();
  await page.getByText("1 / 3").waitFor();
  await visit.waitForTurns(1);
  assert.equal(await visit.reply(), first);
});

Deno.test("a turn can be edited when the states before it are unknown", async () => {
  let path: string;
  {
    await using visit = await fixture.visit();
    await visit.sendAndWait("Hi! My name is Ada.");
    await visit.sendAndWait("Tell me a story about a fox.");
    path = `/#${visit.state}`;
  }
  await using other = await fixture.visit({ path });
  await other.waitForTurns(2);
  await edit(other, 1, "What is my name?");
  await other.waitForTurns(2);
  assert.match(await other.reply(), /Ada/);
  assert.equal(await variantPosition(other), "Variant 2 / 2");
  // The worker found a stored prefix by the text of the earlier turns.
  assert.match(await other.page.locator(".stats").last().innerText(), /[1-9]\d* cached$/);
  await other.page.getByRole("button", { name: "Earlier variant" }).click();
  await other.waitForTurns(2);
  assert.equal(`/#${other.state}`, path);
});

Deno.test("after a state is deleted, the conversation can resume from the displayed text", async () => {
  await using visit = await fixture.visit({ expected: /status of 400/ });
  await visit.sendAndWait("Hi! My name is Ada.");
  const response = await fetch(`${fixture.worker.url}/v1/states/${visit.state}`, {
    method: "DELETE",
  });
  assert.equal(response.status, 200, await response.text());
  await visit.send("What is my name?");
  await visit.page.getByRole("button", { name: "Resume from the text" }).click();
  await visit.waitForTurns(2);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("Escape cancels the editing of a message", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.sendAndWait("Hi! My name is Ada.");
  const before = visit.state;
  await page.getByRole("button", { name: "Edit message" }).click();
  await page.getByLabel("Edit your message").fill("Something else");
  await page.keyboard.press("Escape");
  assert.deepEqual(await visit.questions(), ["Hi! My name is Ada."]);
  assert.equal(visit.state, before);
  const focused = await page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
  assert.equal(focused, "Edit message");
});

async function edit({ page }: Visit, turn: number, text: string): Promise<void> {
  await page.getByRole("button", { name: "Edit message" }).nth(turn).click();
  const field = page.getByLabel("Edit your message");
  await field.fill(text);
  await field.press("Enter");
}

/** Returns which of the last turn's variants is displayed. */
async function variantPosition({ page }: Visit): Promise<string> {
  return (await page.locator(".position").last().innerText()).replaceAll(/\s+/g, " ").trim();
}
