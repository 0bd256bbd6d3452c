/** Clients that send requests without a pause and record everything that they receive. */

import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../support/random_data.ts";
import { type ClientRequest, type RequestResult, sendOnce } from "./client_request.ts";
import type { Script } from "./scripts.ts";
import type { SoakWorker } from "./worker.ts";

/** A state that a client received, and its expected content. */
export interface KnownState {
  id: string;
  script: Script;
  /** Number of turns in it; the last turn of an open state may be incomplete. */
  turns: number;
}

/**
 * How a request ended for its client. A complete response may hold a reply that a stopping worker
 * interrupted. A request that was rejected without a store may not count as a turn.
 */
export type Outcome =
  | Exclude<RequestResult["kind"], "complete">
  | "finished"
  | "interrupted"
  | "replayed"
  | "no_store";

/** Error codes that a worker may return during faults or overload. */
const ALLOWED_CODES = [
  "overloaded",
  "too_many_turns",
  "shutting_down",
  "not_ready",
  "store_unavailable",
  "device_lost",
  "request_in_progress",
];

export interface ClientsOptions {
  workers: readonly SoakWorker[];
  scripts: readonly Script[];
  random: Random;
}

export class Clients {
  /** States of complete turns, in order of completion. */
  readonly complete: KnownState[] = [];
  /** States of interrupted turns. */
  readonly open: KnownState[] = [];
  /** Descriptions of invalid responses. */
  readonly invalid: string[] = [];
  /** Outcome of each request by request id. */
  readonly outcomes = new Map<string, Outcome>();
  /** Number of rejected or failed requests by error code. */
  readonly codes = new Map<string, number>();
  /** Number of complete turns that were not stored. */
  unstored = 0;
  readonly #options: ClientsOptions;
  #requests = 0;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /** Returns the number of requests with this outcome. */
  count(outcome: Outcome): number {
    return [...this.outcomes.values()].filter((one) => one === outcome).length;
  }

  /** Runs `count` clients until `until` returns true, and then until their last responses. */
  async run(count: number, { until, abort }: { until: () => boolean; abort: boolean }) {
    await Promise.all(Array.from({ length: count }, async () => {
      while (!until()) {
        if (abort && this.open.length > 0 && this.#options.random.chance(0.1)) {
          await this.#continueOpen();
        } else await this.#turn(abort);
      }
    }));
  }

  /**
   * Starts a conversation, or runs the next turn of a random earlier state, which may create a
   * fork.
   */
  async #turn(abort: boolean): Promise<void> {
    const { random, scripts } = this.#options;
    const origin = this.complete.length === 0 || random.chance(0.3)
      ? null
      : random.of(this.complete);
    const isFinished = origin !== null && origin.turns === origin.script.turns.length;
    const { script, turns, id } = origin === null || isFinished
      ? { script: random.of(scripts), turns: 0, id: null }
      : origin;
    const { message, reply } = script.turns[turns];
    const stream = random.chance(0.5);
    const key = !stream && random.chance(0.4) ? crypto.randomUUID() : null;
    const abortAfter = abort && stream && random.chance(0.2) ? random.below(12) : null;
    const result = await this.#send({ message, stateId: id, stream, key, abortAfter });
    const next = { script, turns: turns + 1 };
    if (result.kind === "complete") {
      const { text, finished, stateId, headerStateId } = result;
      if (finished ? text !== reply : !reply.startsWith(text)) {
        this.invalid.push(`${script.name}, turn ${turns}: ${text} instead of ${reply}`);
      }
      if (stateId !== null) (finished ? this.complete : this.open).push({ ...next, id: stateId });
      // Only the state from the start of the turn was stored.
      else if (headerStateId !== null) this.open.push({ ...next, id: headerStateId });
    } else if (result.kind !== "rejected" && result.headerStateId !== null) {
      this.open.push({ ...next, id: result.headerStateId });
    }
  }

  /** Continues an open reply. */
  async #continueOpen(): Promise<void> {
    const [one] = this.open.splice(this.#options.random.below(this.open.length), 1);
    const request = { message: null, stateId: one.id, stream: false, key: null, abortAfter: null };
    const result = await this.#send(request);
    if (result.kind === "complete" && result.stateId !== null) {
      (result.finished ? this.complete : this.open).push({ ...one, id: result.stateId });
    } else if (result.kind === "rejected" && result.code === "invalid_value") {
      // The reply was complete, although its client got no response.
      this.complete.push(one);
    } else this.open.push(one);
  }

  /** Sends a request; retries it if it has an idempotency key and a retry may succeed. */
  async #send(request: Omit<ClientRequest, "url" | "requestId">): Promise<RequestResult> {
    const { workers, random } = this.#options;
    while (true) {
      const running = workers.filter(({ runs }) => runs);
      if (running.length === 0) {
        await delay(50);
        continue;
      }
      const worker = random.of(running);
      const { process } = worker;
      const requestId = `${request.key === null ? "plain" : "keyed"}-${this.#requests++}`;
      const result = await sendOnce({ ...request, requestId, url: worker.url });
      this.#record(requestId, result);
      const fault = this.#responseFault(result, request);
      if (fault !== null) this.invalid.push(`${worker.name}: ${fault}`);
      // A running process must not break connections.
      if (result.kind === "disconnected" && worker.process === process) {
        this.invalid.push(`${worker.name} broke a connection while running: ${result.reason}`);
      }
      if (result.kind === "disconnected" || result.kind === "rejected") await delay(100);
      const retry = result.kind === "disconnected" ||
        result.kind === "rejected" && ALLOWED_CODES.includes(result.code);
      if (request.key === null || !retry) return result;
    }
  }

  #record(requestId: string, result: RequestResult): void {
    this.outcomes.set(requestId, outcomeOf(result));
    if (result.kind === "complete" && result.stateId === null) this.unstored++;
    if ("code" in result) this.codes.set(result.code, (this.codes.get(result.code) ?? 0) + 1);
  }

  /** Returns the fault of a response, or `null`. */
  #responseFault(
    result: RequestResult,
    { message }: Pick<ClientRequest, "message">,
  ): string | null {
    if (result.kind === "failed") return ALLOWED_CODES.includes(result.code) ? null : result.code;
    if (result.kind !== "rejected") return null;
    const { status, code, retryAfter } = result;
    // The turn may be complete although its client got no response.
    if (message === null && code === "invalid_value") return null;
    const isAllowed = ALLOWED_CODES.includes(code) && [409, 429, 503].includes(status) &&
      retryAfter !== null;
    return isAllowed ? null : `${status} ${code}, retry-after ${retryAfter}: ${result.message}`;
  }
}

function outcomeOf(result: RequestResult): Outcome {
  if (result.kind === "rejected" && result.code === "store_unavailable") return "no_store";
  if (result.kind !== "complete") return result.kind;
  if (result.replayed) return "replayed";
  return result.finished ? "finished" : "interrupted";
}
