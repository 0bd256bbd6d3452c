/** Basic use: sending messages, streaming replies, stopping, reloading, settings, the recent list. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";

const fixture = BrowserFixture.forTests();

const STATE = /^state_[0-9a-f]{48}$/;

Deno.test("clicking an example sends it, and the address then names the state", async () => {
  await using visit = await fixture.visit({ randomSampling: true });
  const { page } = visit;
  await page.getByText("demo · f16 · CPU engine").waitFor();
  await page.getByText(/This is a demo model/).waitFor();
  await page.getByText("CPU engine: requested with --device cpu.").waitFor();
  await visit.screenshot("empty-light");
  assert.equal(visit.state, "");
  await page.getByRole("button", { name: "Hi! My name is Ada." }).click();
  await visit.waitForTurns(1);
  assert.notEqual(await visit.reply(), "");
  assert.match(visit.state, STATE);
  assert.match(await page.title(), /^Hi! My name is Ada\./);
  const stats = await page.locator(".stats").innerText();
  assert.match(
    stats,
    /^\d+ tokens · [\d.,]+ tokens\/s · first token after [\d.,]+ ms · context \d+$/,
  );
  await visit.sendAndWait("What is my name?");
  const second = await page.locator(".stats").nth(1).innerText();
  assert.match(second, /context \d+, \d+ cached$/);
  await visit.screenshot("conversation-light");
});

Deno.test("the page sends a content security policy and complies with it", async () => {
  const { headers } = await fetch(`${fixture.worker.url}/`).then(async (response) => {
    await response.body?.cancel();
    return response;
  });
  const policy = headers.get("content-security-policy")!;
  for (const part of ["default-src 'none'", "script-src 'self'", "require-trusted-types-for"]) {
    assert.ok(policy.includes(part), part);
  }
  assert.doesNotMatch(policy, /unsafe|\*/);
  await using visit = await fixture.visit();
  const ran = await visit.page.evaluate(async () => {
    const script = document.createElement("script");
    try {
      script.textContent = "globalThis.ran = true";
      document.head.append(script);
    } catch {
      return "refused";
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    return "ran" in globalThis;
  });
  assert.equal(ran, "refused");
  // The browser reports this test's own violation on the console, once.
  assert.equal(visit.problems.length, 1);
  assert.match(visit.problems.pop()!, /requires .TrustedScript. assignment/);
});

Deno.test("a reply streams, stops, continues, and equals the stored transcript", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.setEndlessReplies();
  await visit.send("Tell me a story.");
  const stop = page.getByRole("button", { name: "Stop" });
  await stop.waitFor();
  await visit.waitForGrowth();
  await visit.waitForGrowth();
  assert.match(visit.state, STATE, "the address has the id before the reply is complete");
  await stop.click();
  await visit.waitForTurns(1);
  const stopped = await visit.reply();
  assert.equal(stopped, (await storedReply(visit.state)).trim());
  await page.getByRole("button", { name: "Continue the reply" }).click();
  await visit.waitForGrowth();
  assert.equal(await page.evaluate(() => document.activeElement?.id), "input");
  await page.keyboard.press("Escape");
  await visit.waitForTurns(1);
  const longer = await visit.reply();
  assert.ok(longer.startsWith(stopped) && longer.length > stopped.length);
  assert.equal(longer, (await storedReply(visit.state)).trim());
});

Deno.test("a new message follows a stopped reply", async () => {
  await using visit = await fixture.visit();
  await visit.setEndlessReplies();
  await visit.send("My name is Bo.");
  await visit.waitForGrowth();
  await visit.page.keyboard.press("Escape");
  await visit.waitForTurns(1);
  await visit.page.getByRole("button", { name: "Settings" }).click();
  await visit.page.getByRole("button", { name: "Reset" }).click();
  await visit.page.getByRole("button", { name: "Done" }).click();
  await visit.sendAndWait("What is two plus two?");
  assert.equal(await visit.page.getByRole("button", { name: "Continue the reply" }).count(), 0);
});

Deno.test("a new chat stops the current reply, which can be opened and continued later", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.setEndlessReplies();
  await visit.send("Tell me a story.");
  await visit.waitForGrowth();
  const stopped = visit.state;
  await page.getByRole("button", { name: "New chat" }).click();
  await visit.waitForTurns(0);
  assert.equal(visit.state, "");
  await visit.fillSettings({ "Repetition penalty": "", "Frequency penalty": "" });
  await visit.sendAndWait("Hi! My name is Ada.");
  assert.deepEqual(await visit.questions(), ["Hi! My name is Ada."]);
  await page.getByRole("link", { name: "Tell me a story." }).click();
  await page.getByRole("button", { name: "Continue the reply" }).waitFor();
  assert.equal(visit.state, stopped);
  assert.notEqual(await visit.reply(), "");
});

Deno.test("a reload and a link in another browser resume the conversation", async () => {
  let path: string;
  {
    await using visit = await fixture.visit();
    await visit.sendAndWait("Hi! My name is Ada.");
    path = `/#${visit.state}`;
    await visit.page.reload();
    await visit.waitForTurns(1);
    assert.equal(`/#${visit.state}`, path);
    assert.match(await visit.reply(), /Ada/);
    assert.match(await visit.page.locator(".stats").innerText(), /tokens\/s/);
  }
  await using other = await fixture.visit({ path });
  await other.waitForTurns(1);
  assert.deepEqual(await other.questions(), ["Hi! My name is Ada."]);
  assert.match(await other.sendAndWait("What is my name?"), /Ada/);
  assert.match(await other.page.locator(".stats").last().innerText(), /[1-9]\d* cached$/);
});

Deno.test("an address with an unknown state shows an error and offers a new chat", async () => {
  await using visit = await fixture.visit({
    path: `/#state_${"0".repeat(48)}`,
    expected: /status of 404/,
  });
  const { page } = visit;
  await page.getByRole("alert").getByText(/no such id|Cannot/).waitFor();
  await visit.screenshot("unknown-state");
  await visit.assertAccessible();
  await page.locator("#banner").getByRole("button", { name: "New chat" }).click();
  assert.equal(visit.state, "");
  await visit.sendAndWait("Hello");
});

Deno.test("the system prompt is sent once per conversation, and settings are stored", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.fillSettings({ "System prompt": "Be kind.", Temperature: "0.4", Seed: "7" });
  const sent = page.waitForRequest(/chat\/completions/);
  await visit.sendAndWait("Hello");
  const body = (await sent).postDataJSON();
  assert.deepEqual(body.messages, [
    { role: "system", content: "Be kind." },
    { role: "user", content: "Hello" },
  ]);
  assert.deepEqual([body.temperature, body.seed, body.top_p], [0.4, 7, 0.5]);
  await page.reload();
  await visit.waitForTurns(1);
  await page.getByText("System prompt", { exact: true }).first().click();
  await page.locator(".instructions").getByText("Be kind.").waitFor();
  const next = page.waitForRequest(/chat\/completions/);
  await visit.sendAndWait("Hello again");
  const { messages, seed } = (await next).postDataJSON();
  assert.deepEqual(messages, [{ role: "user", content: "Hello again" }]);
  assert.equal(seed, 7);
});

Deno.test("conversations are listed, opened, removed and restored", async () => {
  await using visit = await fixture.visit();
  const { page } = visit;
  await visit.sendAndWait("Hi! My name is Ada.");
  const first = visit.state;
  await page.getByRole("button", { name: "New chat" }).click();
  assert.equal(visit.state, "");
  await visit.waitForTurns(0);
  await visit.sendAndWait("Tell me a story about a fox.");
  const list = page.getByRole("list", { name: "Recent" });
  assert.deepEqual(await list.getByRole("link").allInnerTexts(), [
    "Tell me a story about a fox.",
    "Hi! My name is Ada.",
  ]);
  await list.getByRole("link", { name: "Hi! My name is Ada." }).click();
  await visit.waitForTurns(1);
  assert.equal(visit.state, first);
  assert.deepEqual(await visit.questions(), ["Hi! My name is Ada."]);
  await page.goBack();
  await page.waitForFunction(() => document.querySelector(".bubble")?.textContent?.includes("fox"));
  await list.getByRole("button", { name: "Remove Hi! My name is Ada." }).click();
  assert.equal(await list.getByRole("link").count(), 1);
  await page.getByRole("button", { name: "Undo" }).click();
  assert.equal(await list.getByRole("link").count(), 2);
});

/** Returns the last reply of a state's transcript. */
async function storedReply(id: string): Promise<string> {
  const state = await (await fetch(`${fixture.worker.url}/v1/states/${id}`)).json();
  return state.transcript.at(-1).content;
}
