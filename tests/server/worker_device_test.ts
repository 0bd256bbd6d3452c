/**
 * Workers on software and hardware adapters: the selected engine, its description, and idle tuning.
 */

import assert from "node:assert/strict";
import { createLogger } from "../../src/core/log.ts";
import { type OpenEngine, openEngine } from "../../src/server/open_engine.ts";
import { startWorker } from "../../src/server/start_worker.ts";
import { type FakeAdapter, gpuWithFakeAdapter } from "../support/faults/fake_adapter.ts";
import { slowTest } from "../support/quick.ts";

interface DeviceWorker extends AsyncDisposable {
  health(): Promise<Record<string, unknown>>;
  /** Returns a greedy reply. */
  sendMessage(message: string): Promise<string>;
  /** Log lines so far. */
  lines: string[];
}

/** Starts a worker with the demo model on an adapter with the properties in `fake`. */
async function deviceWorker(
  fake: FakeAdapter,
  tuningFolder: string,
  { idleMs = 20 } = {},
): Promise<DeviceWorker> {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = createLogger({ write, format: "json", now: () => new Date(0) });
  const open: OpenEngine = (options, given) =>
    openEngine(options, {
      ...given,
      gpu: gpuWithFakeAdapter(navigator.gpu, fake),
      idleMs,
      tuningFolder,
    });
  const flags = { kv: ":memory:", slots: "1" };
  const { app, ready } = startWorker(flags, { log, hostname: "127.0.0.1", openEngine: open });
  const running = await ready;
  return {
    lines,
    health: async () => await (await app.request("/health")).json(),
    sendMessage: async (content) => {
      const body = { messages: [{ role: "user", content }], temperature: 0, max_tokens: 12 };
      const response = await app.request("/v1/chat/completions", {
        method: "POST",
        body: JSON.stringify(body),
      });
      const { choices: [{ message }] } = await response.json();
      return message.content;
    },
    [Symbol.asyncDispose]: async () => {
      await running.close(0);
      await running.engine.close();
    },
  };
}

async function waitFor(condition: () => boolean, what: string): Promise<void> {
  for (let attempts = 0; !condition(); attempts++) {
    assert.ok(attempts < 600, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

Deno.test("a worker with only a software renderer runs the CPU engine and reports why", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using worker = await deviceWorker({ description: "llvmpipe (LLVM 99)" }, folder);
    const { device, adapter, device_reason, warning } = await worker.health();
    const reason = "CPU engine: the only WebGPU adapter is llvmpipe (LLVM 99), a software " +
      "renderer; use --device webgpu to force it";
    assert.deepEqual({ device, adapter, device_reason, warning }, {
      device: "cpu",
      adapter: "plain TypeScript",
      device_reason: reason,
      warning: reason,
    });
    assert.ok((await worker.sendMessage("Hi!")).length > 0);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "nothing is tuned");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const HARDWARE = { description: "NVIDIA L4" };

Deno.test("a worker uses a hardware adapter and does not tune before it is ready", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using worker = await deviceWorker(HARDWARE, folder, { idleMs: 60_000 });
    const { device, adapter, device_reason, warning, software } = await worker.health();
    assert.deepEqual({ device, adapter, device_reason, warning, software }, {
      device: "webgpu",
      adapter: "NVIDIA L4",
      device_reason: "WebGPU engine: NVIDIA L4 is a hardware adapter",
      warning: null,
      software: false,
    });
    assert.ok((await worker.sendMessage("Hi!")).length > 0);
    assert.deepEqual([...Deno.readDirSync(folder)], [], "nothing is tuned yet");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

slowTest("a worker on a hardware adapter tunes its kernels once it is idle", async () => {
  const folder = await Deno.makeTempDir();
  const cached = () => [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`);
  const texts: string[] = [];
  try {
    await using worker = await deviceWorker(HARDWARE, folder);
    texts.push(await worker.sendMessage("My name is Ada."));
    await waitFor(() => cached().length === 1, "the tuning cache");
    assert.match(worker.lines.join("\n"), /Tuned kernels for NVIDIA L4/);
    // The reply is the same with the tuned kernels.
    texts.push(await worker.sendMessage("My name is Ada."));
    const [path] = cached();
    assert.match(path, /nvidia-l4-rwkv5\.2-192-\d+-f16-256\.json$/);
    assert.equal(JSON.parse(await Deno.readTextFile(path)).adapter, "NVIDIA L4");

    // A damaged cache causes one warning and is replaced.
    await Deno.writeTextFile(path, "{");
    {
      await using next = await deviceWorker(HARDWARE, folder);
      await waitFor(() => Deno.readTextFileSync(path) !== "{", "a new cache");
      const warnings = next.lines.filter((line) => line.includes("Ignoring the tuning cache"));
      assert.equal(warnings.length, 1, next.lines.join("\n"));
    }

    // A valid cache is used unchanged.
    await using last = await deviceWorker(HARDWARE, folder);
    texts.push(await last.sendMessage("My name is Ada."));
    assert.deepEqual(last.lines.filter((line) => /tun/.test(line)), []);
    assert.equal(new Set(texts).size, 1, texts.join("\n"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
