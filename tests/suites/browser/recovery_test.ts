/** The worker goes away, in the middle of a reply or before one, and the page goes on by itself. */

import assert from "node:assert/strict";
import { Stage } from "./stage.ts";
import type { Visit } from "./visit.ts";

const stage = Stage.forTests();

/** What a browser says of a worker that is not there. */
const GONE = /net::ERR_/;

Deno.test("a reply goes on by itself after its worker was killed and another one has come", async () => {
  await using visit = await stage.visit({ expected: GONE });
  const { page } = visit;
  await visit.setEndless();
  await visit.say("Tell me a story.");
  await page.locator(".turn").waitFor();
  await visit.grows();
  const broken = visit.state;
  await stage.worker.kill();
  await page.getByRole("alert").getByText(/The connection broke off/).waitFor();
  await page.getByText("The worker cannot be reached").first().waitFor();
  await page.getByText(/^again in \d+ s$/).waitFor();
  await visit.screenshot("connection-lost");
  await restart();
  await page.locator("#notice").waitFor({ state: "hidden" });
  await page.waitForFunction((broken) => location.hash !== `#${broken}`, broken);
  await visit.grows();
  await page.keyboard.press("Escape");
  await visit.turnsAre(1);
  assert.deepEqual(await visit.questions(), ["Tell me a story."]);
  const stored = await storedTranscript(visit.state);
  assert.equal(stored.at(-1)!.content.trim(), await visit.reply());
});

Deno.test("an address whose reply broke off with its worker goes on in another browser", async () => {
  let path: string;
  {
    await using visit = await stage.visit({ expected: GONE });
    await visit.setEndless();
    await visit.say("Hi! My name is Ada.");
    await visit.grows();
    path = `/#${visit.state}`;
    await stage.worker.kill();
  }
  await restart();
  await using other = await stage.visit({ path });
  await other.turnsAre(1);
  await other.page.getByRole("button", { name: "Continue the reply" }).click();
  await other.turnsAre(1);
  assert.deepEqual(await other.questions(), ["Hi! My name is Ada."]);
  assert.notEqual(await other.reply(), "");
});

Deno.test("a message to a worker that is not there waits for it, or is taken back", async () => {
  await using visit = await stage.visit({ expected: GONE });
  const { page } = visit;
  await visit.ask("Hi! My name is Ada.");
  const before = visit.state;
  await stage.worker.kill();
  await visit.say("What is my name?");
  await page.getByRole("alert").getByText("The worker cannot be reached.").waitFor();
  await page.keyboard.press("Escape");
  await visit.turnsAre(1);
  assert.equal(visit.state, before);
  assert.equal(await page.getByLabel("Message", { exact: true }).inputValue(), "What is my name?");
  assert.equal(await page.locator("#notice").isVisible(), false);
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByRole("button", { name: "Try now" }).waitFor();
  await restart();
  await waitForReply(visit, 2);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("a conversation with another model is read again by this one, if one likes", async () => {
  await using visit = await stage.visit({ expected: new RegExp(`${GONE.source}|status of 409`) });
  const { page } = visit;
  await visit.ask("Hi! My name is Ada.");
  const { port } = new URL(stage.worker.url);
  await stage.worker.kill();
  const other = ["--model", "tests/golden/rwkv5-f32-n32", "--vocab", "bytes", "--port", port];
  stage.worker = await stage.startWorker(other);
  await page.reload();
  await page.getByText(/^rwkv5-f32-n32 · /).waitFor();
  await visit.turnsAre(1);
  await visit.say("What is my name?");
  await page.getByRole("button", { name: "Read it again with this model" }).click();
  // A model of random weights: whatever its reply is, it is shown.
  await waitForReply(visit, 2);
  await visit.turnsAre(2);
  assert.deepEqual(await visit.questions(), ["Hi! My name is Ada.", "What is my name?"]);
  await visit.screenshot("another-model");
});

/** A worker in place of the one that was killed, at its address. */
async function restart(): Promise<void> {
  stage.worker = await stage.startWorker(["--port", new URL(stage.worker.url).port]);
}

async function waitForReply({ page }: Visit, turns: number): Promise<void> {
  await page.waitForFunction(
    (turns) => document.querySelectorAll(".stats:not(:empty)").length === turns,
    turns,
  );
}

async function storedTranscript(id: string): Promise<{ role: string; content: string }[]> {
  return (await (await fetch(`${stage.worker.url}/v1/states/${id}`)).json()).transcript;
}
