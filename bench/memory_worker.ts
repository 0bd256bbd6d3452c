/**
 * The worker of `bench:memory`, a process of its own: `serve` with the flags given, which at SIGUSR2
 * collects the garbage of both its threads and writes what they hold as a line of JSON on stdout.
 */

import { main } from "../src/cli/main.ts";
import { collected, collectedIn, type ThreadMemory } from "./collected.ts";

/** Bytes that the process holds. */
export interface HeldMemory {
  /** Resident. */
  rss: number;
  /** By the thread of HTTP, and by that of the engine. */
  host: ThreadMemory;
  engine: ThreadMemory;
}

let engine: Worker;

globalThis.Worker = class extends Worker {
  constructor(_: string | URL, options?: WorkerOptions) {
    super(new URL("./memory_engine.ts", import.meta.url), options);
    engine = this;
  }
};

Deno.addSignalListener("SIGUSR2", async () => {
  const held: HeldMemory = {
    engine: await collectedIn(engine),
    host: await collected(),
    rss: Deno.memoryUsage().rss,
  };
  console.log(JSON.stringify(held));
});

Deno.exit(await main(["serve", ...Deno.args]));
