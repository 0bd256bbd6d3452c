/** The fixture of a test file: one worker with the demo model on the CPU, and one browser. */

import type { Browser } from "playwright-core";
import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";
import { launch, Visit, type VisitOptions } from "./visit.ts";

export class BrowserFixture {
  worker!: WorkerProcess;
  browser!: Browser;
  #kv = "";
  #flags: readonly string[] = [];
  #env: Record<string, string> = {};

  /** Creates a fixture that is set up before the first test of the file and closed after the last. */
  static forTests(
    { flags = [], env = {} }: { flags?: readonly string[]; env?: Record<string, string> } = {},
  ): BrowserFixture {
    const fixture = new BrowserFixture();
    fixture.#flags = flags;
    fixture.#env = env;
    Deno.test.beforeAll(() => fixture.#setUp());
    Deno.test.afterAll(() => fixture.#tearDown());
    return fixture;
  }

  async #setUp(): Promise<void> {
    this.#kv = await Deno.makeTempFile({ suffix: ".sqlite3" });
    [this.worker, this.browser] = await Promise.all([this.startWorker(), launch()]);
  }

  /** Starts another worker on the same store. The first one must have ended. */
  startWorker(flags: readonly string[] = []): Promise<WorkerProcess> {
    const all = [...this.#flags, ...flags];
    return startWorkerProcess(this.#kv, { device: "cpu", flags: all, env: this.#env });
  }

  visit(options: VisitOptions & { path?: string } = {}): Promise<Visit> {
    return Visit.begin(this.browser, `${this.worker.url}${options.path ?? "/"}`, options);
  }

  async #tearDown(): Promise<void> {
    await this.browser.close();
    await this.worker.kill();
    for (const suffix of ["", "-shm", "-wal"]) await Deno.remove(this.#kv + suffix).catch(() => {});
  }
}
