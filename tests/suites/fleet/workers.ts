/** Workers of a fleet: processes with a fixed port that can be killed and restarted. */

import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { freePort, TOKEN } from "./denokv.ts";

export interface WorkerOptions {
  kv: string;
  device: "auto" | "webgpu" | "cpu";
  /** The state codec; the worker's default if undefined. */
  codec?: string | undefined;
  /** Ends the worker permanently. */
  signal: AbortSignal;
}

export class FleetWorker {
  readonly port: number = freePort();
  /** Number of unexpected exits. */
  unexpectedExits = 0;
  /** The end of its log at the last unexpected exit. */
  exitLog = "";
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

  /** Starts it; resolves when it is ready. */
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
      this.unexpectedExits++;
      this.exitLog = process.log().slice(-2000);
    });
  }

  /** Sends SIGKILL. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    await process?.kill();
  }
}
