/** Conversations by name, histories that are sent whole, and replies that cannot be stored. */

import assert from "node:assert/strict";
import { persistGet } from "./client.ts";
import type { KvServer } from "./denokv.ts";
import { messages } from "./dialogue.ts";
import type { Fleet } from "./fleet.ts";
import type { Report } from "./report.ts";

/** Rounds of two writers at one conversation. */
const ROUNDS = 200;

export async function checkNames(
  fleet: Fleet,
  { store, report, signal }: { store: KvServer; report: Report; signal: AbortSignal },
): Promise<void> {
  await report.try("a history sent whole is not read again, whoever is asked", () => {
    return sendWhole(fleet);
  });
  await report.try("of two writers at one conversation one wins, and no reply is lost", () => {
    return writeTwice(fleet, signal);
  });
  await report.try("a reply comes though the store goes away, and the next one is stored", () => {
    return loseStore(fleet, store);
  });
}

async function sendWhole(fleet: Fleet): Promise<string> {
  let read = 0;
  let cached = 0;
  for (let i = 0; i < 5; i++) {
    const history: { role: string; content: string }[] = [];
    for (const [turn, content] of messages(i).entries()) {
      history.push({ role: "user", content });
      const { status, body } = await chat(urlOf(fleet, turn), { messages: history });
      assert.equal(status, 200, JSON.stringify(body));
      const { prompt_tokens, prompt_tokens_details } = body.usage;
      const known = prompt_tokens_details.cached_tokens;
      assert.ok(turn === 0 ? known === 0 : known > 0, `turn ${turn}: ${known} tokens were known`);
      // The reply before ends with tokens that are still to be read, and the new message comes.
      assert.ok(prompt_tokens - known < 40, `${prompt_tokens - known} tokens were read`);
      read += prompt_tokens - known;
      cached += known;
      history.push({ role: "assistant", content: body.choices[0].message.content });
    }
  }
  return `${read} tokens read, ${cached} known`;
}

async function writeTwice(fleet: Fleet, signal: AbortSignal): Promise<string> {
  const created = await fetch(`${urlOf(fleet, 0)}/v1/conversations`, {
    method: "POST",
    body: "{}",
  });
  const { id: conversation } = await created.json();
  for (let round = 0; round < ROUNDS; round++) {
    const asked = await Promise.all([0, 1].map((i) =>
      chat(urlOf(fleet, round + i), {
        messages: [{ role: "user", content: `${round} ${i}?` }],
        max_tokens: 6,
        conversation,
      })
    ));
    asked.sort((a, b) => a.status - b.status);
    const [won, lost] = asked;
    assert.deepEqual([won.status, lost.status], [200, 409], `round ${round}`);
    assert.equal(lost.body.error.code, "conversation_conflict");
    const url = `${urlOf(fleet, round + 2)}/v1`;
    const { body } = await persistGet<{ state_id: string }>(
      `${url}/conversations/${conversation}`,
      { signal },
    );
    assert.equal(body.state_id, won.body.state_id, `round ${round}`);
    const kept = await persistGet(`${url}/states/${lost.stateId}`, { signal });
    assert.equal(kept.status, 200, `round ${round}`);
  }
  return `${ROUNDS} rounds`;
}

async function loseStore(fleet: Fleet, store: KvServer): Promise<string> {
  const url = urlOf(fleet, 0);
  const ask = { messages: [{ role: "user", content: messages(3)[3] }], max_tokens: 60 };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ ...ask, stream: true }),
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
  const plain = await chat(url, ask);
  assert.deepEqual([plain.status, plain.body.state_id], [200, null]);
  await store.start();
  for (let tries = 1;; tries++) {
    const { status, body } = await chat(url, ask);
    assert.equal(status, 200);
    if (body.state_id !== null) return `stored again by the same worker, at try ${tries}`;
    assert.ok(tries < 50, "it does not store again");
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
