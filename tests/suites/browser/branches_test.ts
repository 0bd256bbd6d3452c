/** Forks: a past turn edited or retried, and the way back to what was said before. */

import assert from "node:assert/strict";
import { Stage } from "./stage.ts";
import type { Visit } from "./visit.ts";

const stage = Stage.forTests();

Deno.test("an edited turn is a fork, from which one can walk back, also after a reload", async () => {
  await using visit = await stage.visit();
  const { page } = visit;
  await visit.ask("Hi! My name is Ada.");
  const first = visit.state;
  await visit.ask("What is my name?");
  await visit.ask("Tell me a story about a fox.");
  const [told, end] = [await visit.reply(), visit.state];
  await edit(visit, 1, "What is the capital of France?");
  await visit.turnsAre(2);
  assert.match(await visit.reply(), /Paris/);
  assert.notEqual(visit.state, end);
  assert.deepEqual(await visit.questions(), [
    "Hi! My name is Ada.",
    "What is the capital of France?",
  ]);
  assert.equal(await place(visit), "Variant 2 / 2");
  await visit.screenshot("fork");
  await page.reload();
  await visit.turnsAre(2);
  await page.getByRole("button", { name: "Earlier variant" }).click();
  await visit.turnsAre(3);
  assert.equal(visit.state, end);
  assert.equal(await visit.reply(), told);
  assert.equal(await place(visit), "Variant 1 / 2");
  // Each branch goes on by itself, from what was said in it.
  await page.getByRole("button", { name: "Later variant" }).click();
  await visit.turnsAre(2);
  assert.match(await visit.ask("What is my name?"), /Ada/);
  // A link to a turn in the middle leads on to what came after it.
  await page.goto(`${stage.worker.url}/#${first}`);
  await visit.turnsAre(1);
  await page.getByRole("button", { name: /went on: show the rest/ }).click();
  await visit.turnsAre(3);
});

Deno.test("the turn that is edited answers the state before it: nothing is read again", async () => {
  await using visit = await stage.visit();
  await visit.ask("Hi! My name is Ada.");
  const before = visit.state;
  await visit.ask("Tell me a story about a fox.");
  const sent = visit.page.waitForRequest(/chat\/completions/);
  await edit(visit, 1, "What is my name?");
  await visit.turnsAre(2);
  const body = (await sent).postDataJSON();
  assert.equal(body.state_id, before);
  assert.deepEqual(body.messages, [{ role: "user", content: "What is my name?" }]);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("the first turn can be edited, and keeps its system prompt", async () => {
  await using visit = await stage.visit();
  await visit.set({ "System prompt": "Be kind." });
  await visit.ask("Hello");
  const sent = visit.page.waitForRequest(/chat\/completions/);
  await edit(visit, 0, "Hi! My name is Ada.");
  await visit.turnsAre(1);
  const { messages, state_id } = (await sent).postDataJSON();
  assert.equal(state_id, undefined);
  assert.deepEqual(messages.map(({ content }: { content: string }) => content), [
    "Be kind.",
    "Hi! My name is Ada.",
  ]);
  assert.equal(await place(visit), "Variant 2 / 2");
  assert.equal(await visit.page.getByRole("list", { name: "Recent" }).getByRole("link").count(), 1);
});

Deno.test("a retried reply is another variant, whatever the seed", async () => {
  await using visit = await stage.visit();
  const { page } = visit;
  await visit.set({ "Top p": "1", Temperature: "1.5", Seed: "3" });
  await visit.ask("Tell me a story.");
  const first = await visit.reply();
  for (let tries = 2; tries < 4; tries++) {
    await page.getByRole("button", { name: "Retry the reply" }).click();
    await page.getByText(`${tries} / ${tries}`).waitFor();
    await visit.turnsAre(1);
    assert.notEqual(await visit.reply(), first);
  }
  await page.getByRole("button", { name: "Earlier variant" }).click();
  await page.getByText("2 / 3").waitFor();
  await page.getByRole("button", { name: "Earlier variant" }).click();
  await page.getByText("1 / 3").waitFor();
  await visit.turnsAre(1);
  assert.equal(await visit.reply(), first);
});

Deno.test("a turn can be edited where the states before it are not known", async () => {
  let path: string;
  {
    await using visit = await stage.visit();
    await visit.ask("Hi! My name is Ada.");
    await visit.ask("Tell me a story about a fox.");
    path = `/#${visit.state}`;
  }
  await using other = await stage.visit({ path });
  await other.turnsAre(2);
  await edit(other, 1, "What is my name?");
  await other.turnsAre(2);
  assert.match(await other.reply(), /Ada/);
  assert.equal(await place(other), "Variant 2 / 2");
  // The worker knew what was said before by its text.
  assert.match(await other.page.locator(".stats").last().innerText(), /[1-9]\d* cached$/);
  await other.page.getByRole("button", { name: "Earlier variant" }).click();
  await other.turnsAre(2);
  assert.equal(`/#${other.state}`, path);
});

Deno.test("where a state is gone, the text that is on the page is gone on from", async () => {
  await using visit = await stage.visit({ expected: /status of 400/ });
  await visit.ask("Hi! My name is Ada.");
  const response = await fetch(`${stage.worker.url}/v1/states/${visit.state}`, {
    method: "DELETE",
  });
  assert.equal(response.status, 200, await response.text());
  await visit.say("What is my name?");
  await visit.page.getByRole("button", { name: "Go on from the text" }).click();
  await visit.turnsAre(2);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("Escape leaves a message that is being edited as it was", async () => {
  await using visit = await stage.visit();
  const { page } = visit;
  await visit.ask("Hi! My name is Ada.");
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

/** Which of the last turn's variants is shown. */
async function place({ page }: Visit): Promise<string> {
  return (await page.locator(".place").last().innerText()).replaceAll(/\s+/g, " ").trim();
}
