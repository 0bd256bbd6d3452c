/**
 * `deno task bench:foreign-ids`: checks that response times do not reveal whether an id of another
 * tenant exists.
 *
 * A worker on an SQLite file serves two tenants. One owns states and conversations. The other
 * requests these ids, random ids, and further random ids as a control that shows the noise. Each
 * round uses a new order. Flags: `--rounds N` (1,000), `--json`. Times are in milliseconds.
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
/** Number of states, and of conversations, that the owner has. */
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

/** The measured requests, one for each kind of id. */
const REQUESTS = [
  {
    name: "GET /v1/states/{id}",
    owned: states,
    prefix: "state_",
    request: (id: string) => send("stranger", `/v1/states/${id}`),
  },
  {
    name: "POST /v1/chat/completions with state_id",
    owned: states,
    prefix: "state_",
    request: (id: string) => send("stranger", "/v1/chat/completions", { messages, state_id: id }),
  },
  {
    name: "GET /v1/conversations/{id}",
    owned: conversations,
    prefix: "conv_",
    request: (id: string) => send("stranger", `/v1/conversations/${id}`),
  },
  {
    name: "GET /v1/responses/{id}",
    owned: states.map((id) => id.replace("state_", "resp_")),
    prefix: "resp_",
    request: (id: string) => send("stranger", `/v1/responses/${id}`),
  },
];

const rows = [];
for (const { name, owned, prefix, request } of REQUESTS) {
  const times: Record<"foreign" | "unknown" | "control", number[]> = {
    foreign: [],
    unknown: [],
    control: [],
  };
  const kinds = Object.keys(times) as (keyof typeof times)[];
  for (let round = -20; round < rounds; round++) {
    for (const kind of shuffled(kinds)) {
      const id = kind === "foreign" ? owned[Math.abs(round) % owned.length] : unknown(prefix);
      const start = performance.now();
      const response = await request(id);
      await response.body?.cancel();
      const milliseconds = performance.now() - start;
      if (![400, 404].includes(response.status)) {
        throw new Error(`${name} returned ${response.status}`);
      }
      // The first rounds are the warm-up.
      if (round >= 0) times[kind].push(milliseconds);
    }
  }
  rows.push({
    request: name,
    ...Object.fromEntries(kinds.map((kind) => [kind, quartiles(times[kind])])),
    // Differences within a round, so that a slow phase of the machine cancels out.
    "foreign - unknown": quartiles(times.foreign.map((time, i) => time - times.unknown[i])),
    "control - unknown": quartiles(times.control.map((time, i) => time - times.unknown[i])),
  });
}
if (flags.json) console.log(JSON.stringify({ rounds, rows }));
else {
  for (const row of rows) console.log(row);
}
await worker.exit(0);

/** Returns the median, the first and third quartile, and the range. */
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
