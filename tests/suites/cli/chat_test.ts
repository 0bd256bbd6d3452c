/** Chats in a real terminal, over a pipe, and with a worker in another process. */

import assert from "node:assert/strict";
import { PasteFilter } from "../../../src/cli/chat/line_input.ts";
import { startWorkerProcess } from "../e2e/worker_process.ts";
import { Pty } from "./pty.ts";
import { rwkv } from "./run_cli.ts";

const STATE = /state_[0-9a-f]{48}/;

/** Sends a name, stops a long reply, saves, quits, and resumes in another process. */
async function converse(flags: readonly string[], file: string): Promise<void> {
  const args = ["chat", "--temperature", "0", ...flags];
  let id: string;
  {
    await using terminal = new Pty(args);
    await terminal.waitFor(/Ctrl-D quits\.\n> /);
    await terminal.type("Hi! My name is Ada.\r");
    await terminal.waitFor(/Ada\.\n.+\n> /);
    await terminal.type("/stats\r");
    await terminal.waitFor(
      /reply +\d+ tokens, .+ first text after \d+ ms\ncontext +\d+ tokens, 0 of them/,
    );
    await terminal.type("Tell me a story about a dragon.\r");
    await terminal.waitFor(/dragon\.\n\w+/);
    await terminal.type("\x03");
    await terminal.waitFor(/\(stopped\)\n> /);
    await terminal.type("/sav\r");
    await terminal.waitFor(/no such command, did you mean "\/save"\?\n> /);
    await terminal.type(`/save ${file}\r`);
    id = (await terminal.waitFor(STATE))[0];
    await terminal.waitFor(/> /);
    await terminal.type("/quit\r");
    const resumed =
      (await terminal.waitFor(/Resume with: deno task rwkv chat --state (\S+) --(kv|url) /))[1];
    assert.equal(resumed, id);
    assert.equal(await terminal.waitForExit(), 0);
    assert.ok(terminal.output.includes("\x1b[36m> \x1b[39m"), "the prompt has its colour");
  }
  assert.ok((await Deno.stat(file)).size > 1000);
  await using terminal = new Pty([...args, "--state", id], { NO_COLOR: "1" });
  await terminal.waitFor(/> Hi! My name is Ada\.\n.+\n> Tell me a story about a dragon\.\n.+\n> /);
  await terminal.type("What is my name?\r");
  await terminal.waitFor(/name\?\n.*Ada.*\n> /);
  await terminal.type(`/load ${file}\r`);
  await terminal.waitFor(/> Tell me a story about a dragon\.\n.+\n> /);
  await terminal.type("What is my name?\r");
  await terminal.waitFor(/name\?\n.*Ada.*\n> /);
  await terminal.type("\x04");
  assert.equal(await terminal.waitForExit(), 0);
  // deno-lint-ignore no-control-regex -- colours
  assert.doesNotMatch(terminal.output, /\x1b\[[\d;]*m/);
}

Deno.test("chat in a terminal stops, saves, quits and resumes by state id", async () => {
  const folder = await Deno.makeTempDir();
  await converse(["--device", "cpu", "--kv", `${folder}/states`], `${folder}/ada.rwkvstate`);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("chat in a terminal works with a remote worker", async () => {
  const folder = await Deno.makeTempDir();
  {
    await using worker = await startWorkerProcess(`${folder}/states`, { device: "cpu" });
    await converse(["--url", worker.url], `${folder}/ada.rwkvstate`);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("terminal input supports editing, history and multi-line paste, and a second Ctrl-C quits", async () => {
  const folder = await Deno.makeTempDir();
  await using terminal = new Pty([
    "chat",
    "--device",
    "cpu",
    "--kv",
    `${folder}/s`,
    "--temperature",
    "0",
  ]);
  await terminal.waitFor(/> /);
  await terminal.type("/fork\r");
  await terminal.waitFor(/Cannot fork: the conversation is empty\n> /);
  await terminal.type("My nam is Ada.\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[De\r");
  await terminal.waitFor(/\n.*Ada.*\n> /);
  await terminal.type("/fork\r");
  const fork = (await terminal.waitFor(STATE))[0];
  await terminal.waitFor(/returns here\.\n> /);
  await terminal.type("\x1b[200~My name is\r\nZoe.\x1b[201~");
  await terminal.waitFor(/My name is⏎Zoe\./);
  await terminal.type("\r");
  await terminal.waitFor(/\n.+\n> /);
  await terminal.type(`/load ${fork}\r`);
  await terminal.waitFor(/> My name is Ada\.\n.+\n> /);
  await terminal.type("What is my name?\r");
  await terminal.waitFor(/\n.*Ada.*\n> /);
  await terminal.type("\x1b[A\r");
  await terminal.waitFor(/What is my name\?\n.*Ada.*\n> /);
  await terminal.type("something\x03\x03");
  await terminal.waitFor(/Press Ctrl-C again or Ctrl-D to quit\.\n> /);
  await terminal.type("\x03");
  await terminal.waitFor(/Resume with/);
  assert.equal(await terminal.waitForExit(), 0);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("piped lines are messages, and only replies go to stdout", async () => {
  const folder = await Deno.makeTempDir();
  const args = ["chat", "--device", "cpu", "--kv", `${folder}/states`, "--temperature", "0"];
  const talk = "Hi! My name is Ada.\n\nWhat is my name?\n/save\n";
  const { code, stdout, stderr } = await rwkv(args, talk);
  assert.equal(code, 0, stderr);
  const [hello, name, id, ...rest] = stdout.split("\n");
  assert.match(hello, /\w/);
  assert.match(name, /Ada/);
  assert.match(id, STATE);
  assert.deepEqual(rest, [""]);
  assert.match(
    stderr,
    new RegExp(`^Resume with: deno task rwkv chat --state ${id} --kv \\S+\n$`),
  );
  const wrong = await rwkv([...args, "--state", id], "/lod x\nHi\n");
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  assert.match(wrong.stderr, /no such command, did you mean "\/load"\?/);
  const unknown = await rwkv([...args, "--state", `state_${"0".repeat(48)}`], "Hi\n");
  assert.deepEqual([unknown.code, unknown.stdout], [1, ""]);
  // A port that was just released, so nothing listens on it.
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const nowhere = `http://127.0.0.1:${listener.addr.port}`;
  listener.close();
  const unreachable = await rwkv(["chat", "--url", nowhere], "Hi\n");
  assert.deepEqual([unreachable.code, unreachable.stdout], [1, ""]);
  assert.match(unreachable.stderr, /Cannot reach http:\S+: connection refused/);
  const both = await rwkv(["chat", "--url", nowhere, "--slots", "3"], "Hi\n");
  assert.equal(both.code, 2);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("chat sends the API key as a bearer token", async () => {
  let sent: string | null = null;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    sent = request.headers.get("authorization");
    return Response.json({ error: { message: "no such key", code: "unknown" } }, { status: 401 });
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  const { code, stderr } = await rwkv(["chat", "--url", url, "--key", "open-sesame"], "Hi\n");
  await server.shutdown();
  assert.equal(code, 1);
  assert.match(stderr, /no such key/);
  assert.equal(sent, "Bearer open-sesame");
});

Deno.test("a paste becomes one line, however its markers are split", () => {
  const typed = "a\r\x1b[200~one\r\ntwo\nthree\tx\x1b[31m\x1b[201~b\x1b[A";
  for (let splitAt = 0; splitAt <= typed.length; splitAt++) {
    if (splitAt === 3) continue; // a lone escape is a key
    const filter = new PasteFilter();
    const keys = filter.push(typed.slice(0, splitAt)) + filter.push(typed.slice(splitAt));
    const splitBreak = typed.slice(splitAt - 1, splitAt + 1) === "\r\n";
    assert.equal(keys, `a\rone⏎${splitBreak ? "⏎" : ""}two⏎three x[31mb\x1b[A`);
  }
});
