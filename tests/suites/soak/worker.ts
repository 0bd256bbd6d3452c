/** A worker of the soak test: successive processes on one port, and the counters of each. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { V8_FLAGS } from "../../../bench/heap_usage.ts";
import type { TurnCounts } from "../../../src/server/metrics.ts";
import { STOPPED_MESSAGE } from "../../../src/server/startup_log.ts";
import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { LIVE_MEMORY_LABEL, type LiveMemoryLine } from "../../support/faults/live_memory.ts";
import { freePort, TOKEN } from "../fleet/denokv.ts";

export interface SoakWorkerOptions {
  name: string;
  kv: string;
  device: "webgpu" | "cpu";
  /** Ends the worker permanently. */
  signal: AbortSignal;
}

/** How a process ended, and its counters. */
export interface ProcessEnd {
  reason: "killed" | "stopped" | "exited";
  code: number | null;
  /** The counters that it logged last, if it was stopped. */
  counts: (TurnCounts & { in_progress: number }) | null;
  /** Start and end of the shutdown, in milliseconds of `performance.now()`. */
  from: number;
  to: number;
  /** Statuses of its chat responses by request id. */
  statuses: ReadonlyMap<string, number>;
}

/** Resource usage of a process. */
export interface ResourceUsage {
  /** The longest stall of its event loop since the previous sample, in milliseconds. */
  stallMs: number;
  /** Bytes of live objects and array buffers of both threads. */
  live: number;
  /** Resident private memory in bytes. */
  resident: number;
  /** Open connections, including idle ones that clients keep. */
  sockets: number;
  /** Open files and other descriptors. */
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

/** Output beside the log that indicates a bug, even during faults. */
const BUG_OUTPUT = /Uncaught|unhandled|Error:|panicked|Segmentation/i;
/**
 * Prefixes of harmless output: the KV Connect client reports each attempt, Mesa a missing display.
 */
const HARMLESS_OUTPUT = /^(KV Connect|Warning |Download |Check |error: XDG_RUNTIME_DIR)/;
/** Expected error messages of a worker that loses its device. */
const DEVICE_ERROR = /engine|device/i;

/** Timeout of a probe in milliseconds. */
const PROBE_TIMEOUT_MS = 10_000;

export class SoakWorker {
  readonly name: string;
  readonly port: number = freePort();
  readonly ended: ProcessEnd[] = [];
  /** Log lines that indicate a bug, of all processes so far. */
  readonly faults: string[] = [];
  readonly #options: SoakWorkerOptions;
  #process: WorkerProcess | null = null;

  constructor(options: SoakWorkerOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Identifies the running process, so that callers can detect a restart. */
  get process(): unknown {
    return this.#process;
  }

  get runs(): boolean {
    return this.#process !== null;
  }

  /** Whether its device can be lost. */
  get hasDevice(): boolean {
    return this.#options.device === "webgpu";
  }

  /** Starts it; resolves when it is ready. */
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
      const end = { from: at, to: at, statuses: new Map() };
      this.ended.push({ reason: "exited", code: null, counts: null, ...end });
      this.faults.push(`${this.name} exited unexpectedly:\n${process.log().slice(-3000)}`);
    });
  }

  /** Sends SIGKILL. */
  async kill(): Promise<void> {
    const process = this.#detachProcess();
    if (process === null) return;
    const from = performance.now();
    await process.kill();
    const end = { from, to: performance.now(), statuses: this.#scanLog(process) };
    this.ended.push({ reason: "killed", code: null, counts: null, ...end });
  }

  /** Sends SIGTERM, as a platform does. */
  async stop(): Promise<void> {
    const process = this.#detachProcess();
    if (process === null) return;
    const from = performance.now();
    const code = await process.stop();
    const to = performance.now();
    const line = process.log().trim().split("\n").findLast((line) =>
      line.includes(`"${STOPPED_MESSAGE}"`)
    );
    const counts: ProcessEnd["counts"] = line === undefined ? null : JSON.parse(line);
    this.ended.push({
      reason: "stopped",
      code,
      counts,
      from,
      to,
      statuses: this.#scanLog(process),
    });
  }

  loseDevice(): void {
    this.#process?.send("SIGUSR1");
  }

  /** Returns `null` while it does not respond. */
  async isReady(): Promise<boolean | null> {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const response = await fetch(`${this.url}/ready`, { signal }).catch(() => null);
    await response?.body?.cancel();
    return response && response.status === 200;
  }

  /** Reads `/metrics`; the returned function sums a metric over its labels. */
  async metrics(): Promise<(name: string, label?: string) => number> {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    const text = await (await fetch(`${this.url}/metrics`, { signal })).text();
    const lines = text.split("\n").filter((line) => !line.startsWith("#"));
    return (name, label = "") =>
      lines.filter((line) => line.startsWith(`rwkv:${name}`) && line.includes(label))
        .filter((line) => /[ {]/.test(line[`rwkv:${name}`.length]))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** Measures its process after a garbage collection. */
  async measure(): Promise<ResourceUsage> {
    const process = this.#process;
    assert.ok(process, `${this.name} is not running`);
    const lines = () =>
      process.log().split("\n").filter((line) => line.includes(`"${LIVE_MEMORY_LABEL}"`));
    const before = lines().length;
    process.send("SIGUSR2");
    const end = performance.now() + PROBE_TIMEOUT_MS;
    while (lines().length === before) {
      assert.ok(performance.now() < end, `${this.name} does not report its memory`);
      await delay(100);
    }
    const { host, engine, stallMs } = JSON.parse(lines().at(-1)!) as LiveMemoryLine;
    const folder = `/proc/${process.pid}/fd`;
    const descriptors = [...Deno.readDirSync(folder)].map(({ name }) =>
      readLink(`${folder}/${name}`)
    );
    const status = Deno.readTextFileSync(`/proc/${process.pid}/status`);
    return {
      stallMs,
      live: host.heapUsed + host.external + engine.heapUsed + engine.external,
      resident: 1024 * Number(status.match(/RssAnon:\s+(\d+)/)?.[1]),
      sockets: descriptors.filter((target) => target.startsWith("socket:")).length,
      files: descriptors.filter((target) => !target.startsWith("socket:")).length,
    };
  }

  #detachProcess(): WorkerProcess | null {
    const process = this.#process;
    this.#process = null;
    return process;
  }

  /** Scans the log of a process that has ended for its responses and for errors. */
  #scanLog(process: WorkerProcess): Map<string, number> {
    const statuses = new Map<string, number>();
    // The last line of a killed process may be incomplete.
    for (const text of process.log().split("\n").slice(0, -1)) {
      const line = text.startsWith("{") ? JSON.parse(text) as LogLine : null;
      const { route, request, status } = line ?? {};
      if (route === CHAT && request !== undefined) statuses.set(request, status!);
      const isFault = line === null
        ? BUG_OUTPUT.test(text) && !HARMLESS_OUTPUT.test(text)
        : line.level === "error" && !DEVICE_ERROR.test(line.message);
      if (isFault) this.faults.push(`${this.name}: ${text.slice(0, 1000)}`);
    }
    return statuses;
  }
}

/** Returns the target of a descriptor, or an empty string if it is closed. */
function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
