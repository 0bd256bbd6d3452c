/** Runs a worker with the demo model on its CPU engine for one test of a client. */

import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";

/** Registers a test that receives the base URL of its own worker. */
export function testWithWorker(name: string, body: (baseURL: string) => Promise<void>): void {
  Deno.test(name, async () => {
    await using worker = await startWorkerProcess(":memory:", { device: "cpu" });
    await body(apiOf(worker));
  });
}

export function apiOf(worker: WorkerProcess): string {
  return `${worker.url}/v1`;
}

/** A state as the worker describes it. */
export interface StateInfo {
  open: boolean;
  transcript: { role: string; content: string }[];
}

/** Returns the state of an aborted stream once the worker has stored it. */
export async function abortedState(baseURL: string, id: string): Promise<StateInfo> {
  const read = async (): Promise<StateInfo> => (await fetch(`${baseURL}/states/${id}`)).json();
  let state = await read();
  // Before that, it is the state of the turn's start: open, with an empty reply.
  for (let i = 0; i < 100 && state.open && state.transcript.at(-1)!.content === ""; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    state = await read();
  }
  return state;
}
