/**
 * `deno task bench:foreign-ids`: whether the time of an answer tells an id of another tenant's from
 * one that nobody has.
 *
 * A worker on an SQLite file with two tenants: one has states and conversations, the other asks for
 * them, for ids that nobody has, and for others of these, which shows what chance alone makes of
 * it; each time in another order. Flags: `--rounds N` (1,000), `--json`. Milliseconds.
 */

import { parseArgs } from "node:util";
import { toHex } from "../src/core/hex.ts";
import { randomBytes } from "../src/store/states/state_id.ts";
import { localWorker } from "./local_worker.ts";
import { numberFlag } from "../src/settings/flags.ts";

const { values: flags } = parseArgs({
  options: { rounds: { type: "string" }, json: { type: "boolean" } },
});
const rounds = numberFlag(flags, "rounds", { min: 10, max: 1e6, integer: true }) ?? 1000;
/** What one tenant has, of each kind. */
const STORED = 50;

const KEYS = { owner: "the-key-of-the-owner", stranger: "the-key-of-a-stranger" };

const worker = await localWorker({ device: "cpu" }, {
  RWKV_API_KEYS: Object.entries(KEYS).map(([tenant, key]) => `${tenant}:${key}`).join(),
});

function send(tenant: keyof typeof KEYS, path: string, body?: object): Promise<Response> {
  return fetch(worker.url + path, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${KEYS[tenant]}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

const messages = [{ role: "user", content: "Hi" }];
const states: string[] = [];
const conversations: string[] = [];
for (let i = 0; i < STORED; i++) {
  const turn = await send("owner", "/v1/chat/completions", { messages, max_tokens: 1 });
  states.push((await turn.json()).state_id);
  const made = await send("owner", "/v1/conversations", { state_id: states[i] });
  conversations.push((await made.json()).id);
}

const unknown = (prefix: string) => prefix + toHex(randomBytes(24));

/** What is asked for, by an id of each kind. */
const REQUESTS = [
  {
    name: "GET /v1/states/{id}",
    owned: states,
    prefix: "state_",
    ask: (id: string) => send("stranger", `/v1/states/${id}`),
  },
  {
    name: "POST /v1/chat/completions with state_id",
    owned: states,
    prefix: "state_",
    ask: (id: string) => send("stranger", "/v1/chat/completions", { messages, state_id: id }),
  },
  {
    name: "GET /v1/conversations/{id}",
    owned: conversations,
    prefix: "conv_",
    ask: (id: string) => send("stranger", `/v1/conversations/${id}`),
  },
  {
    name: "GET /v1/responses/{id}",
    owned: states.map((id) => id.replace("state_", "resp_")),
    prefix: "resp_",
    ask: (id: string) => send("stranger", `/v1/responses/${id}`),
  },
];

const rows = [];
for (const { name, owned, prefix, ask } of REQUESTS) {
  const times: Record<"foreign" | "unknown" | "control", number[]> = {
    foreign: [],
    unknown: [],
    control: [],
  };
  const tries = Object.keys(times) as (keyof typeof times)[];
  for (let round = -20; round < rounds; round++) {
    for (const kind of shuffled(tries)) {
      const id = kind === "foreign" ? owned[Math.abs(round) % owned.length] : unknown(prefix);
      const start = performance.now();
      const answer = await ask(id);
      await answer.body?.cancel();
      const milliseconds = performance.now() - start;
      if (![400, 404].includes(answer.status)) throw new Error(`${name} answered ${answer.status}`);
      // The first ones warm up.
      if (round >= 0) times[kind].push(milliseconds);
    }
  }
  rows.push({
    request: name,
    ...Object.fromEntries(tries.map((kind) => [kind, quartiles(times[kind])])),
    // Of one round's pair each, so that what slows down both is in neither.
    "foreign - unknown": quartiles(times.foreign.map((time, i) => time - times.unknown[i])),
    "control - unknown": quartiles(times.control.map((time, i) => time - times.unknown[i])),
  });
}
if (flags.json) console.log(JSON.stringify({ rounds, rows }));
else {
  for (const row of rows) console.log(row);
}
await worker.exit(0);

/** The median, a quarter of all below and above, and the extremes. */
function quartiles(values: readonly number[]) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => Number(sorted[Math.floor(share * (sorted.length - 1))].toFixed(4));
  return { median: at(0.5), quarter: [at(0.25), at(0.75)], range: [at(0), at(1)] };
}

function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
