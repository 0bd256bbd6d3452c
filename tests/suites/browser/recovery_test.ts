/** Recovery: the worker is killed before or during a reply, and the page resumes automatically. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";
import type { Visit } from "./visit.ts";

const fixture = BrowserFixture.forTests();

/** Console errors while the worker is unreachable. */
const UNREACHABLE = /net::ERR_/;

Deno.test("a reply resumes automatically after its worker was killed and restarted", async () => {
  await using visit = await fixture.visit({ expected: UNREACHABLE });
  const { page } = visit;
  await visit.setEndlessReplies();
  await visit.send("Tell me a story.");
  await page.locator(".turn").waitFor();
  await visit.waitForGrowth();
  const interrupted = visit.state;
  await fixture.worker.kill();
  await page.getByRole("alert").getByText(/The connection was lost/).waitFor();
  await page.getByText("The worker cannot be reached").first().waitFor();
  await page.getByText(/^Retrying in \d+ s$/).waitFor();
  await visit.screenshot("connection-lost");
  await restart();
  await page.locator("#banner").waitFor({ state: "hidden" });
  await page.waitForFunction((id) => location.hash !== `#${id}`, interrupted);
  await visit.waitForGrowth();
  await page.keyboard.press("Escape");
  await visit.waitForTurns(1);
  assert.deepEqual(await visit.questions(), ["Tell me a story."]);
  const stored = await storedTranscript(visit.state);
  assert.equal(stored.at(-1)!.content.trim(), await visit.reply());
});

Deno.test("an interrupted reply can be continued from its link in another browser", async () => {
  let path: string;
  {
    await using visit = await fixture.visit({ expected: UNREACHABLE });
    await visit.setEndlessReplies();
    await visit.send("Hi! My name is Ada.");
    await visit.waitForGrowth();
    path = `/#${visit.state}`;
    await fixture.worker.kill();
  }
  await restart();
  await using other = await fixture.visit({ path });
  await other.waitForTurns(1);
  await other.page.getByRole("button", { name: "Continue the reply" }).click();
  await other.waitForTurns(1);
  assert.deepEqual(await other.questions(), ["Hi! My name is Ada."]);
  assert.notEqual(await other.reply(), "");
});

Deno.test("a message to an unreachable worker is retried or can be cancelled", async () => {
  await using visit = await fixture.visit({ expected: UNREACHABLE });
  const { page } = visit;
  await visit.sendAndWait("Hi! My name is Ada.");
  const before = visit.state;
  await fixture.worker.kill();
  await visit.send("What is my name?");
  await page.getByRole("alert").getByText("The worker cannot be reached.").waitFor();
  await page.keyboard.press("Escape");
  await visit.waitForTurns(1);
  assert.equal(visit.state, before);
  assert.equal(await page.getByLabel("Message", { exact: true }).inputValue(), "What is my name?");
  assert.equal(await page.locator("#banner").isVisible(), false);
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("button", { name: "Try now" }).waitFor();
  await restart();
  await waitForReply(visit, 2);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("a conversation of another model can be reprocessed on request", async () => {
  await using visit = await fixture.visit({
    expected: new RegExp(`${UNREACHABLE.source}|status of 409`),
  });
  const { page } = visit;
  await visit.sendAndWait("Hi! My name is Ada.");
  const { port } = new URL(fixture.worker.url);
  await fixture.worker.kill();
  const other = ["--model", "tests/golden/rwkv5-f32-n32", "--vocab", "bytes", "--port", port];
  fixture.worker = await fixture.startWorker(other);
  await page.reload();
  await page.getByText(/^rwkv5-f32-n32 · /).waitFor();
  await visit.waitForTurns(1);
  await visit.send("What is my name?");
  await page.getByRole("button", { name: "Reprocess with this model" }).click();
  // The model has random weights, so the test does not check the reply's text.
  await waitForReply(visit, 2);
  await visit.waitForTurns(2);
  assert.deepEqual(await visit.questions(), ["Hi! My name is Ada.", "What is my name?"]);
  await visit.screenshot("another-model");
});

/** Starts a worker at the address of the killed one. */
async function restart(): Promise<void> {
  fixture.worker = await fixture.startWorker(["--port", new URL(fixture.worker.url).port]);
}

async function waitForReply({ page }: Visit, turns: number): Promise<void> {
  await page.waitForFunction(
    (turns) => document.querySelectorAll(".stats:not(:empty)").length === turns,
    turns,
  );
}

async function storedTranscript(id: string): Promise<{ role: string; content: string }[]> {
  return (await (await fetch(`${fixture.worker.url}/v1/states/${id}`)).json()).transcript;
}
