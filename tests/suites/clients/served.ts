/** A real worker with the demo model on its CPU engine, for one test's clients. */

import { startWorkerProcess, type WorkerProcess } from "../e2e/worker_process.ts";

/** Registers a test that is given the base URL of a worker of its own. */
export function served(name: string, body: (baseURL: string) => Promise<void>): void {
  Deno.test(name, async () => {
    await using worker = await startWorkerProcess(":memory:", { device: "cpu" });
    await body(apiOf(worker));
  });
}

export function apiOf(worker: WorkerProcess): string {
  return `${worker.url}/v1`;
}

/** A state as the worker tells of it. */
export interface StateInfo {
  open: boolean;
  transcript: { role: string; content: string }[];
}

/** The state of a stream that its client has left, once the worker has heard of it. */
export async function stateLeft(baseURL: string, id: string): Promise<StateInfo> {
  const read = async (): Promise<StateInfo> => (await fetch(`${baseURL}/states/${id}`)).json();
  let state = await read();
  // Until then it is that of the turn's start: open, with nothing of the reply.
  for (let i = 0; i < 100 && state.open && state.transcript.at(-1)!.content === ""; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    state = await read();
  }
  return state;
}
