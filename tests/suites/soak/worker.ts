/** A worker of the soak: one process after another on the same port, and what each has counted. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { V8_FLAGS } from "../../../bench/collected.ts";
import type { TurnCounts } from "../../../src/server/metrics.ts";
import { STOPPED_MESSAGE } from "../../../src/server/startup_log.ts";
import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { LIVE_MEMORY_LABEL, type LiveMemoryLine } from "../../support/faults/live_memory.ts";
import { freePort, TOKEN } from "../fleet/denokv.ts";

export interface SoakWorkerOptions {
  name: string;
  kv: string;
  device: "webgpu" | "cpu";
  /** Kills it for good. */
  signal: AbortSignal;
}

/** How a process ended. */
export interface Ended {
  how: "killed" | "stopped" | "by itself";
  code: number | null;
  /** What it said last, if it was stopped. */
  counts: (TurnCounts & { in_progress: number }) | null;
  /** How long that took, in milliseconds of `performance`. */
  from: number;
  to: number;
  /** Statuses of the chats that it answered, by request. */
  answered: ReadonlyMap<string, number>;
}

/** What a process holds. */
export interface Held {
  /** Milliseconds of its event loop's longest stall since the look before. */
  stallMs: number;
  /** Bytes of live objects, and of array buffers, of both threads. */
  live: number;
  /** Bytes in memory of its own. */
  resident: number;
  /** Connections that it has open, some of which wait for clients to use them again. */
  sockets: number;
  /** Files and the like. */
  files: number;
}

/** A line of a worker's log. */
interface LogLine {
  level: string;
  message: string;
  route?: string;
  status?: number;
  request?: string;
}

const CHAT = "/v1/chat/completions";

/** Lines of what stands beside the log that no worker is to write, whatever befalls it. */
const WRONG = /Uncaught|unhandled|Error:|panicked|Segmentation/i;
/** What those that do not matter begin with: the KV Connect client tells of each try, Mesa of a display. */
const HARMLESS = /^(KV Connect|Warning |Download |Check |error: XDG_RUNTIME_DIR)/;
/** What a worker tells as an error when its device is taken away. */
const TROUBLE = /engine|device/i;

/** Milliseconds that an answer to a probe may take. */
const PROBE_MS = 10_000;

export class SoakWorker {
  readonly name: string;
  readonly port: number = freePort();
  readonly ended: Ended[] = [];
  /** Of logs of all processes so far. */
  readonly wrong: string[] = [];
  readonly #options: SoakWorkerOptions;
  #process: WorkerProcess | null = null;

  constructor(options: SoakWorkerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The one that runs, for whoever wants to know whether it still is the same. */
  get process(): unknown {
    return this.#process;
  }

  get runs(): boolean {
    return this.#process !== null;
  }

  /** Whether its device can be taken away. */
  get hasDevice(): boolean {
    return this.#options.device === "webgpu";
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const { kv, device, signal } = this.#options;
    signal.throwIfAborted();
    const process = await startWorkerProcess(kv, {
      device,
      main: "tests/support/faults/faulty_worker.ts",
      options: [V8_FLAGS],
      flags: ["--port", String(this.port), "--slots", "8", "--queue", "16", "--state-cache", "16"],
      env: { DENO_KV_ACCESS_TOKEN: TOKEN },
      signal,
    });
    this.#process = process;
    process.ended.then(() => {
      if (this.#process !== process) return;
      this.#process = null;
      const at = performance.now();
      const end = { from: at, to: at, answered: new Map() };
      this.ended.push({ how: "by itself", code: null, counts: null, ...end });
      this.wrong.push(`${this.name} ended by itself:\n${process.log().slice(-3000)}`);
    });
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    const process = this.#leave();
    if (process === null) return;
    const from = performance.now();
    await process.kill();
    const end = { from, to: performance.now(), answered: this.#read(process) };
    this.ended.push({ how: "killed", code: null, counts: null, ...end });
  }

  /** As a platform does, with SIGTERM. */
  async stop(): Promise<void> {
    const process = this.#leave();
    if (process === null) return;
    const from = performance.now();
    const code = await process.stop();
    const to = performance.now();
    const line = process.log().trim().split("\n").findLast((line) =>
      line.includes(`"${STOPPED_MESSAGE}"`)
    );
    const counts: Ended["counts"] = line === undefined ? null : JSON.parse(line);
    this.ended.push({ how: "stopped", code, counts, from, to, answered: this.#read(process) });
  }

  loseDevice(): void {
    this.#process?.send("SIGUSR1");
  }

  /** `null` while it does not answer. */
  async isReady(): Promise<boolean | null> {
    const signal = AbortSignal.timeout(PROBE_MS);
    const response = await fetch(`${this.url}/ready`, { signal }).catch(() => null);
    await response?.body?.cancel();
    return response && response.status === 200;
  }

  /** A number of `/metrics`, all of its labels together. */
  async metrics(): Promise<(name: string, label?: string) => number> {
    const signal = AbortSignal.timeout(PROBE_MS);
    const text = await (await fetch(`${this.url}/metrics`, { signal })).text();
    const lines = text.split("\n").filter((line) => !line.startsWith("#"));
    return (name, label = "") =>
      lines.filter((line) => line.startsWith(`rwkv:${name}`) && line.includes(label))
        .filter((line) => /[ {]/.test(line[`rwkv:${name}`.length]))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** What its process holds when its garbage is gone. */
  async held(): Promise<Held> {
    const process = this.#process;
    assert.ok(process, `${this.name} does not run`);
    const lines = () =>
      process.log().split("\n").filter((line) => line.includes(`"${LIVE_MEMORY_LABEL}"`));
    const before = lines().length;
    process.send("SIGUSR2");
    const end = performance.now() + PROBE_MS;
    while (lines().length === before) {
      assert.ok(performance.now() < end, `${this.name} does not tell what it holds`);
      await delay(100);
    }
    const { host, engine, stallMs } = JSON.parse(lines().at(-1)!) as LiveMemoryLine;
    const folder = `/proc/${process.pid}/fd`;
    const leads = [...Deno.readDirSync(folder)].map(({ name }) => readLink(`${folder}/${name}`));
    const status = Deno.readTextFileSync(`/proc/${process.pid}/status`);
    return {
      stallMs,
      live: host.heapUsed + host.external + engine.heapUsed + engine.external,
      resident: 1024 * Number(status.match(/RssAnon:\s+(\d+)/)?.[1]),
      sockets: leads.filter((lead) => lead.startsWith("socket:")).length,
      files: leads.filter((lead) => !lead.startsWith("socket:")).length,
    };
  }

  #leave(): WorkerProcess | null {
    const process = this.#process;
    this.#process = null;
    return process;
  }

  /** Looks through the log of a process that has ended: what it answered, and what is wrong. */
  #read(process: WorkerProcess): Map<string, number> {
    const answered = new Map<string, number>();
    // The last line of one that was killed may be cut.
    for (const text of process.log().split("\n").slice(0, -1)) {
      const line = text.startsWith("{") ? JSON.parse(text) as LogLine : null;
      const { route, request, status } = line ?? {};
      if (route === CHAT && request !== undefined) answered.set(request, status!);
      const wrong = line === null
        ? WRONG.test(text) && !HARMLESS.test(text)
        : line.level === "error" && !TROUBLE.test(line.message);
      if (wrong) this.wrong.push(`${this.name}: ${text.slice(0, 1000)}`);
    }
    return answered;
  }
}

/** What a descriptor leads to; nothing if it has been closed. */
function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
