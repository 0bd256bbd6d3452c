/** What clients are told of states that are harmed in the store, by every worker. */

import assert from "node:assert/strict";
import { DAMAGES } from "../../store/states/damage.ts";
import { persist } from "./client.ts";
import { messages } from "./dialogue.ts";
import type { Fleet } from "./fleet.ts";
import type { Report } from "./report.ts";

export async function checkDamages(
  fleet: Fleet,
  { kv, report, signal }: { kv: Deno.Kv; report: Report; signal: AbortSignal },
): Promise<void> {
  const ask = async (stateId: string | null, turn: number) => {
    const request = { message: messages(0)[turn], stateId, stream: false };
    const tally = { again: 0, broken: [] };
    return (await persist(fleet.proxy.url, request, { tally, signal })).stateId;
  };
  const states: { id: string; other: string }[] = [];
  for (const _ of DAMAGES) {
    const other = await ask(null, 0);
    states.push({ other, id: await ask(other, 1) });
  }
  // Nobody has them in memory then.
  await fleet.restart();
  for (const [i, { name, apply, message }] of DAMAGES.entries()) {
    await report.try(`${name} is told`, async () => {
      const { id } = states[i];
      await apply(kv, states[i]);
      let told = "";
      for (const { url } of fleet.workers) {
        for (const stream of [false, true]) {
          told = await refusal(url, { message: messages(0)[2], stateId: id, stream });
          assert.match(told, message);
        }
      }
      return `status 422 state_damaged, "${told}"`;
    });
  }
}

/** What a worker says that must not serve. */
async function refusal(
  url: string,
  { message, stateId, stream }: { message: string; stateId: string; stream: boolean },
): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({
      messages: [{ role: "user", content: message }],
      temperature: 0,
      state_id: stateId,
      stream,
    }),
  });
  const text = await response.text();
  const error = response.status === 200 ? text.match(/data: (\{"error".*\})/)?.[1] : text;
  assert.ok(error, `it was served: ${text}`);
  assert.doesNotMatch(text, /"content":"[^"]/);
  const { code, message: told } = JSON.parse(error).error;
  assert.equal(code, "state_damaged", told);
  return told;
}
