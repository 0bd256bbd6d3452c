/** Workers of a fleet: processes on ports of their own, killed and started again. */

import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { freePort, TOKEN } from "./denokv.ts";

export interface WorkerOptions {
  kv: string;
  device: "auto" | "webgpu" | "cpu";
  /** How states are stored; the worker's own choice unless given. */
  codec?: string | undefined;
  /** Kills it for good. */
  signal: AbortSignal;
}

export class FleetWorker {
  readonly port: number = freePort();
  /** Times that it ended and nobody had killed it. */
  deaths = 0;
  /** How it ended by itself, and what it had to say. */
  lastWords = "";
  readonly #options: WorkerOptions;
  #process: WorkerProcess | null = null;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get runs(): boolean {
    return this.#process !== null;
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const { kv, device, codec, signal } = this.#options;
    signal.throwIfAborted();
    const process = await startWorkerProcess(kv, {
      device,
      flags: ["--port", String(this.port), "--queue", "1000"]
        .concat(codec === undefined ? [] : ["--state-codec", codec]),
      env: { DENO_KV_ACCESS_TOKEN: TOKEN },
      signal,
    });
    this.#process = process;
    process.ended.then(() => {
      if (this.#process !== process) return;
      this.#process = null;
      this.deaths++;
      this.lastWords = process.log().slice(-2000);
    });
  }

  /** As `kill -9`. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    await process?.kill();
  }
}
