/** Clients that ask without a pause, and all that they know of what they were told. */

import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../support/random_data.ts";
import { type Answer, type Ask, askOnce } from "./answers.ts";
import type { Script } from "./scripts.ts";
import type { SoakWorker } from "./worker.ts";

/** A state that a client was told of, and what is in it. */
export interface Known {
  id: string;
  script: Script;
  /** Turns that are in it; of an open one, the last may not be whole. */
  turns: number;
}

/**
 * How a request ended, as its client knows: a whole reply may be one that its worker cut, to be stopped,
 * and one that was refused for want of the store may not have come to be a turn.
 */
export type Outcome =
  | Exclude<Answer["kind"], "whole">
  | "finished"
  | "cut"
  | "replayed"
  | "storeless";

/** What a worker may answer while it is disturbed, or has too much to do. */
const ALLOWED = [
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
  /** Whole turns that were told of, in the order in which they were. */
  readonly known: Known[] = [];
  /** Turns that broke off under an id that resumes. */
  readonly open: Known[] = [];
  /** Answers that are none of those that may be. */
  readonly wrong: string[] = [];
  /** What came of each request, by its id. */
  readonly outcomes = new Map<string, Outcome>();
  /** Of those refused or failed, by code. */
  readonly codes = new Map<string, number>();
  /** Turns that ended and were not stored. */
  unstored = 0;
  readonly #options: ClientsOptions;
  #requests = 0;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  /** How many requests ended so. */
  count(outcome: Outcome): number {
    return [...this.outcomes.values()].filter((one) => one === outcome).length;
  }

  /** So many clients ask until it is time to end, and for the answers that they wait for then. */
  async run(count: number, { until, leave }: { until: () => boolean; leave: boolean }) {
    await Promise.all(Array.from({ length: count }, async () => {
      while (!until()) {
        if (leave && this.open.length > 0 && this.#options.random.chance(0.1)) await this.#goOn();
        else await this.#turn(leave);
      }
    }));
  }

  /** A new conversation, or one more turn of one, or of what it was at any time: a fork. */
  async #turn(leave: boolean): Promise<void> {
    const { random, scripts } = this.#options;
    const from = this.known.length === 0 || random.chance(0.3) ? null : random.of(this.known);
    const whole = from !== null && from.turns === from.script.turns.length;
    const { script, turns, id } = from === null || whole
      ? { script: random.of(scripts), turns: 0, id: null }
      : from;
    const { message, reply } = script.turns[turns];
    const stream = random.chance(0.5);
    const key = !stream && random.chance(0.4) ? crypto.randomUUID() : null;
    const leaves = leave && stream && random.chance(0.2) ? random.below(12) : null;
    const answer = await this.#ask({ message, stateId: id, stream, key, leaves });
    const next = { script, turns: turns + 1 };
    if (answer.kind === "whole") {
      const { text, ended, stateId, begun } = answer;
      if (ended ? text !== reply : !reply.startsWith(text)) {
        this.wrong.push(`${script.name}, turn ${turns}: ${text} instead of ${reply}`);
      }
      if (stateId !== null) (ended ? this.known : this.open).push({ ...next, id: stateId });
      // It was begun to be stored, and that is what there is.
      else if (begun !== null) this.open.push({ ...next, id: begun });
    } else if (answer.kind !== "refused" && answer.begun !== null) {
      this.open.push({ ...next, id: answer.begun });
    }
  }

  /** Lets an open reply go on. */
  async #goOn(): Promise<void> {
    const [one] = this.open.splice(this.#options.random.below(this.open.length), 1);
    const ask = { message: null, stateId: one.id, stream: false, key: null, leaves: null };
    const answer = await this.#ask(ask);
    if (answer.kind === "whole" && answer.stateId !== null) {
      (answer.ended ? this.known : this.open).push({ ...one, id: answer.stateId });
    } else if (answer.kind === "refused" && answer.code === "invalid_value") {
      // It had come to its end, though its client was not told.
      this.known.push(one);
    } else this.open.push(one);
  }

  /** Asks; again if there is a key and another try may help. */
  async #ask(ask: Omit<Ask, "url" | "requestId">): Promise<Answer> {
    const { workers, random } = this.#options;
    while (true) {
      const running = workers.filter(({ runs }) => runs);
      if (running.length === 0) {
        await delay(50);
        continue;
      }
      const worker = random.of(running);
      const { process } = worker;
      const requestId = `${ask.key === null ? "plain" : "keyed"}-${this.#requests++}`;
      const answer = await askOnce({ ...ask, requestId, url: worker.url });
      this.#note(requestId, answer);
      const wrong = this.#faultOf(answer, ask);
      if (wrong !== null) this.wrong.push(`${worker.name}: ${wrong}`);
      // Whoever is still there breaks no connection.
      if (answer.kind === "lost" && worker.process === process) {
        this.wrong.push(`${worker.name} lives and broke off: ${answer.reason}`);
      }
      if (answer.kind === "lost" || answer.kind === "refused") await delay(100);
      const again = answer.kind === "lost" ||
        answer.kind === "refused" && ALLOWED.includes(answer.code);
      if (ask.key === null || !again) return answer;
    }
  }

  #note(requestId: string, answer: Answer): void {
    this.outcomes.set(requestId, outcomeOf(answer));
    if (answer.kind === "whole" && answer.stateId === null) this.unstored++;
    if ("code" in answer) this.codes.set(answer.code, (this.codes.get(answer.code) ?? 0) + 1);
  }

  /** What may not be in an answer; `null`: nothing. */
  #faultOf(answer: Answer, { message }: Pick<Ask, "message">): string | null {
    if (answer.kind === "failed") return ALLOWED.includes(answer.code) ? null : answer.code;
    if (answer.kind !== "refused") return null;
    const { status, code, retryAfter } = answer;
    // An open turn may have come to its end unheard.
    if (message === null && code === "invalid_value") return null;
    const fine = ALLOWED.includes(code) && [409, 429, 503].includes(status) && retryAfter !== null;
    return fine ? null : `${status} ${code}, retry-after ${retryAfter}: ${answer.message}`;
  }
}

function outcomeOf(answer: Answer): Outcome {
  if (answer.kind === "refused" && answer.code === "store_unavailable") return "storeless";
  if (answer.kind !== "whole") return answer.kind;
  if (answer.replayed) return "replayed";
  return answer.ended ? "finished" : "cut";
}
