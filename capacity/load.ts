/**
 * The load that clients generate: conversations and their turns. All values derive from the seed,
 * the conversation and the turn, so that the same clients can run against any number of workers,
 * simulated or real.
 */

import { randomAt } from "../src/sampler/random.ts";
import type { Distribution } from "./distribution.ts";

export interface Load {
  /**
   * Turns per second over conversations that start and end, or a fixed number of endless
   * conversations.
   */
  arrivals: { perSecond: number } | { conversations: number };
  /** Mean turns of a conversation that ends; geometrically distributed. */
  turns: number;
  /** Mean seconds between the end of a reply and the next turn; exponentially distributed. */
  think: number;
  /** Tokens of a turn's prompt and of its reply. */
  prompt: Distribution;
  reply: Distribution;
}

export interface Turn {
  prompt: number;
  reply: number;
  /** Milliseconds from its end to the next turn; `null` for the last turn. */
  think: number | null;
}

export interface Conversation {
  number: number;
  /** Time of its first turn, in milliseconds. */
  start: number;
  /** Whether its first turn resumes a state. */
  hasState: boolean;
  turn(index: number): Turn;
}

/** Positions of a turn's random numbers. */
const POSITIONS = { prompt: 0, reply: 1, last: 2, think: 3 };

/** The random number stream of arrivals; no conversation has this number. */
const ARRIVALS = 2 ** 32 - 1;

/**
 * Returns conversations in the order of their starts. The load is steady from the start: some
 * conversations began earlier and are in a pause when it starts.
 *
 * @param seed Below 2^32.
 * @param until Milliseconds.
 */
export function conversations(
  load: Load,
  { seed, until }: { seed: number; until: number },
): Conversation[] {
  const random = (stream: number, position: number) =>
    randomAt(BigInt(seed) << 32n | BigInt(stream), position);
  const conversation = (number: number, start: number, begun: boolean): Conversation => ({
    number,
    start,
    hasState: begun,
    turn: (index) => {
      const draw = (name: keyof typeof POSITIONS) => random(number, 4 * index + POSITIONS[name]);
      const last = "perSecond" in load.arrivals && draw("last") < 1 / load.turns;
      return {
        prompt: wholeTokens(load.prompt(draw("prompt"))),
        reply: wholeTokens(load.reply(draw("reply"))),
        think: last ? null : exponential(1000 * load.think, draw("think")),
      };
    },
  });
  const all: Conversation[] = [];
  if ("conversations" in load.arrivals) {
    for (let i = 0; i < load.arrivals.conversations; i++) {
      const start = exponential(1000 * load.think, random(ARRIVALS, i));
      if (start < until) all.push(conversation(i, start, true));
    }
    return all.sort((a, b) => a.start - b.start);
  }
  const meanInterval = 1000 / load.arrivals.perSecond;
  for (let i = 0, at = 0;; i++) {
    at += exponential(meanInterval, random(ARRIVALS, 2 * i));
    if (at >= until) return all;
    // Turns arrive at the requested rate. A turn that does not begin a conversation either follows
    // a turn within the simulated time, or ends a pause that began earlier.
    const draw = random(ARRIVALS, 2 * i + 1) * load.turns;
    if (draw < 1) all.push(conversation(i, at, false));
    else if ((draw - 1) / (load.turns - 1) < Math.exp(-at / 1000 / load.think)) {
      all.push(conversation(i, at, true));
    }
  }
}

function exponential(mean: number, random: number): number {
  return -mean * Math.log1p(-random);
}

function wholeTokens(value: number): number {
  return Math.max(1, Math.round(value));
}
