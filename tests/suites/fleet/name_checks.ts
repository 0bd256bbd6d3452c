/** Checks named conversations, full histories, and replies that cannot be stored. */

import assert from "node:assert/strict";
import { getWithRetries } from "./client.ts";
import type { KvServer } from "./denokv.ts";
import { messages } from "./dialogue.ts";
import type { Fleet } from "./fleet.ts";
import type { Report } from "./report.ts";

/** Rounds of two concurrent writers on one conversation. */
const ROUNDS = 200;

export async function checkNames(
  fleet: Fleet,
  { store, report, signal }: { store: KvServer; report: Report; signal: AbortSignal },
): Promise<void> {
  await report.try("a full history is not reprocessed, on any worker", () => {
    return sendFullHistory(fleet);
  });
  await report.try("one of two concurrent writers wins, and no reply is lost", () => {
    return writeConcurrently(fleet, signal);
  });
  await report.try("a reply completes without the store, and a later one is stored again", () => {
    return killStoreDuringReply(fleet, store);
  });
}

async function sendFullHistory(fleet: Fleet): Promise<string> {
  let read = 0;
  let cached = 0;
  for (let i = 0; i < 5; i++) {
    const history: { role: string; content: string }[] = [];
    for (const [turn, content] of messages(i).entries()) {
      history.push({ role: "user", content });
      const { status, body } = await chat(urlOf(fleet, turn), { messages: history });
      assert.equal(status, 200, JSON.stringify(body));
      const { prompt_tokens, prompt_tokens_details } = body.usage;
      const cachedTokens = prompt_tokens_details.cached_tokens;
      assert.ok(
        turn === 0 ? cachedTokens === 0 : cachedTokens > 0,
        `turn ${turn}: ${cachedTokens} tokens were cached`,
      );
      // New are the pending tokens of the previous reply, and the new message.
      assert.ok(
        prompt_tokens - cachedTokens < 40,
        `${prompt_tokens - cachedTokens} tokens were processed`,
      );
      read += prompt_tokens - cachedTokens;
      cached += cachedTokens;
      history.push({ role: "assistant", content: body.choices[0].message.content });
    }
  }
  return `${read} tokens processed, ${cached} cached`;
}

async function writeConcurrently(fleet: Fleet, signal: AbortSignal): Promise<string> {
  const created = await fetch(`${urlOf(fleet, 0)}/v1/conversations`, {
    method: "POST",
    body: "{}",
  });
  const { id: conversation } = await created.json();
  for (let round = 0; round < ROUNDS; round++) {
    const responses = await Promise.all([0, 1].map((i) =>
      chat(urlOf(fleet, round + i), {
        messages: [{ role: "user", content: `${round} ${i}?` }],
        max_tokens: 6,
        conversation,
      })
    ));
    responses.sort((a, b) => a.status - b.status);
    const [won, lost] = responses;
    assert.deepEqual([won.status, lost.status], [200, 409], `round ${round}`);
    assert.equal(lost.body.error.code, "conversation_conflict");
    const url = `${urlOf(fleet, round + 2)}/v1`;
    const { body } = await getWithRetries<{ state_id: string }>(
      `${url}/conversations/${conversation}`,
      { signal },
    );
    assert.equal(body.state_id, won.body.state_id, `round ${round}`);
    const stored = await getWithRetries(`${url}/states/${lost.stateId}`, { signal });
    assert.equal(stored.status, 200, `round ${round}`);
  }
  return `${ROUNDS} rounds`;
}

async function killStoreDuringReply(fleet: Fleet, store: KvServer): Promise<string> {
  const url = urlOf(fleet, 0);
  const request = { messages: [{ role: "user", content: messages(3)[3] }], max_tokens: 60 };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ ...request, stream: true }),
  });
  let text = "";
  let killed = false;
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (killed || !/"content":"[^"]/.test(text)) continue;
    killed = true;
    await store.kill();
  }
  const last = JSON.parse(text.split("\n\n").at(-3)!.replace(/^data: /, ""));
  assert.equal(last.state_id, null, text.slice(-500));
  assert.match(last.warning, /not stored/);
  assert.ok(text.endsWith("data: [DONE]\n\n"));
  const unstored = await chat(url, request);
  assert.deepEqual([unstored.status, unstored.body.state_id], [200, null]);
  await store.start();
  for (let tries = 1;; tries++) {
    const { status, body } = await chat(url, request);
    assert.equal(status, 200);
    if (body.state_id !== null) return `stored again by the same worker, on attempt ${tries}`;
    assert.ok(tries < 50, "the worker does not store again");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function urlOf({ workers }: Fleet, i: number): string {
  return workers[i % workers.length].url;
}

async function chat(url: string, body: object) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ temperature: 0, ...body }),
  });
  const stateId = response.headers.get("x-state-id");
  return { status: response.status, stateId, body: await response.json() };
}
