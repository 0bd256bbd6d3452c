/** The `state` command. */

import assert from "node:assert/strict";
import { openSessions } from "../../../src/server/open_sessions.ts";
import { type CliResult, rwkv as rwkvProcess } from "./run_cli.ts";
import { rwkv } from "./shared_cli.ts";

async function withStates(
  use: (parts: { kv: string; ids: string[]; folder: string }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const kv = `${folder}/states.sqlite3`;
  try {
    const { sessions, close } = await openSessions({ device: "cpu", kv });
    const ids: string[] = [];
    for (const [content, maxTokens] of [["Hi, I am Ada.", 40], ["Tell me a story.", 3]] as const) {
      const messages = [{ role: "user" as const, content }];
      const turn = await sessions.start({ messages, maxTokens, sampling: { temperature: 0 } });
      ids.push((await turn.result()).stateId!);
    }
    await close(0);
    await use({ kv, ids, folder });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function json(args: string[]) {
  return parsed(await rwkv([...args, "--json"]));
}

function parsed({ code, stdout, stderr }: CliResult) {
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

Deno.test("state lists, shows, exports, imports, removes and collects states", async () => {
  await withStates(async ({ kv, ids, folder }) => {
    const state = (...args: string[]) => rwkv(["state", ...args, "--kv", kv]);
    const { states, total } = await json(["state", "ls", "--kv", kv]);
    assert.deepEqual(states.map(({ id }: { id: string }) => id), ids.toReversed());
    assert.deepEqual([total, states[0].open, states[1].open], [2, true, false]);
    assert.ok(states.every(({ tokens }: { tokens: number }) => tokens > 3));
    const table = (await state("ls", "--limit", "1")).stdout.split("\n");
    assert.match(table[0], /^ID +MODEL +TURN +TOKENS +SIZE +CREATED +EXPIRES$/);
    assert.match(
      table[1],
      new RegExp(`^${ids[1]}  demo   open  .* kB  .*s ago +in (6 d 23|7 d 0) h$`),
    );
    assert.equal(table[2], "and 1 older; --limit shows more");

    const shown = await state("show", ids[0]);
    assert.match(shown.stdout, /^id {7}state_/);
    assert.match(shown.stdout, /\nuser: Hi, I am Ada\.\nassistant: .+\n$/);
    const shownJson = await json(["state", "show", ids[0], "--kv", kv]);
    assert.deepEqual([shownJson.id, shownJson.open, shownJson.transcript.length], [
      ids[0],
      false,
      2,
    ]);

    const file = `${folder}/talk.rwkvstate`;
    assert.equal((await state("export", ids[0], file)).stdout, `${file}\n`);
    const otherStore = `${folder}/other.sqlite3`;
    await Deno.writeFile(otherStore, new Uint8Array());
    const { id } = await json(["state", "import", file, "--kv", otherStore]);
    assert.notEqual(id, ids[0]);
    const moved = await json(["state", "show", id, "--kv", otherStore]);
    assert.deepEqual(moved.transcript, shownJson.transcript);
    const { sessions, close } = await openSessions({ device: "cpu", kv: otherStore });
    const messages = [{ role: "user" as const, content: "What is my name?" }];
    const turn = await sessions.start({ messages, stateId: id, sampling: { temperature: 0 } });
    assert.match((await turn.result()).text, /Ada/);
    await close(0);

    assert.equal((await state("rm", ...ids)).stdout, "2 removed\n");
    assert.equal((await state("ls")).stdout, "There are no states.\n");
    const nothing = await json(["state", "gc", "--older-than", "0", "--kv", kv]);
    assert.deepEqual([nothing.dry_run, nothing.blobs, nothing.bytes], [false, 0, 0]);
    assert.match((await state("gc", "--dry-run")).stdout, /^Would remove 0 bytes: 0 blobs/);
  });
});

Deno.test("state import reads stdin, and a rejected file leaves no state", async () => {
  await withStates(async ({ kv, ids, folder }) => {
    const file = `${folder}/talk.rwkvstate`;
    await json(["state", "export", ids[0], file, "--kv", kv]);
    const bytes = await Deno.readFile(file);
    const { id } = parsed(await rwkvProcess(["state", "import", "-", "--json", "--kv", kv], bytes));
    assert.equal((await json(["state", "ls", "--kv", kv])).total, 3);
    bytes[bytes.length - 1] ^= 1;
    const refused = await rwkvProcess(["state", "import", "-", "--kv", kv], bytes);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^error: Cannot read a state file: the checksum of its state/m);
    assert.equal((await json(["state", "ls", "--kv", kv])).total, 3);
    const lost = await rwkv(["state", "export", id, `${folder}/no/such/folder`, "--kv", kv]);
    assert.equal(lost.code, 1);
  });
});

Deno.test("state reports wrong usage", async () => {
  const unknown = `state_${"0".repeat(48)}`;
  const cases: [args: string[], code: number, message: RegExp][] = [
    [[], 2, /no action is given; the usage is state ls \| show ID/],
    [["list"], 2, /there is no action "list"/],
    [["constructor"], 2, /no action "constructor"/],
    [["show"], 2, /0 arguments after show: the usage is state show ID/],
    [["ls", "x"], 2, /1 arguments after ls/],
    [["ls", "--limit", "0", "--kv", ":memory:"], 2, /--limit 0/],
    [["ls", "--kv", "/no/such/file"], 1, /no such file; name the store with --kv/],
    [["show", unknown, "--kv", ":memory:"], 1, /Cannot find state/],
    [["rm", unknown, "--kv", ":memory:"], 1, /Cannot find state/],
    [["export", unknown, "-", "--json", "--kv", ":memory:"], 1, /Cannot find state/],
    [["import", "/no/such/file", "--kv", ":memory:"], 1, /no such file/i],
  ];
  for (const [args, code, message] of cases) {
    const result = await rwkv(["state", ...args]);
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
    assert.equal(result.stdout, "");
  }
});
