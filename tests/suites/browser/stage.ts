/** What the tests of a file share: one worker with the demo model on the CPU, and one browser. */

import type { Browser } from "playwright-core";
import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { launch, Visit, type VisitOptions } from "./visit.ts";

export class Stage {
  worker!: WorkerProcess;
  browser!: Browser;
  #kv = "";
  #flags: readonly string[] = [];
  #env: Record<string, string> = {};

  /** A stage for the tests of a file: set up before the first and taken down after the last. */
  static forTests(
    { flags = [], env = {} }: { flags?: readonly string[]; env?: Record<string, string> } = {},
  ): Stage {
    const stage = new Stage();
    stage.#flags = flags;
    stage.#env = env;
    Deno.test.beforeAll(() => stage.#setUp());
    Deno.test.afterAll(() => stage.#takeDown());
    return stage;
  }

  async #setUp(): Promise<void> {
    this.#kv = await Deno.makeTempFile({ suffix: ".sqlite3" });
    [this.worker, this.browser] = await Promise.all([this.startWorker(), launch()]);
  }

  /** Another worker on the same store; the first one has to be gone. */
  startWorker(flags: readonly string[] = []): Promise<WorkerProcess> {
    const all = [...this.#flags, ...flags];
    return startWorkerProcess(this.#kv, { device: "cpu", flags: all, env: this.#env });
  }

  visit(options: VisitOptions & { path?: string } = {}): Promise<Visit> {
    return Visit.begin(this.browser, `${this.worker.url}${options.path ?? "/"}`, options);
  }

  async #takeDown(): Promise<void> {
    await this.browser.close();
    await this.worker.kill();
    for (const suffix of ["", "-shm", "-wal"]) await Deno.remove(this.#kv + suffix).catch(() => {});
  }
}
