/**
 * What clients ask for: conversations and their turns. Everything is drawn from the seed, by
 * conversation and turn, so that the same clients can be sent to any number of workers, simulated or
 * real.
 */

import { randomAt } from "../src/sampler/random.ts";
import type { Distribution } from "./distribution.ts";

export interface Load {
  /**
   * Turns a second over all conversations, which come and go; or the number of conversations, which
   * go on for ever.
   */
  arrivals: { perSecond: number } | { conversations: number };
  /** Turns of a conversation in the mean, where they come and go; how many is geometric. */
  turns: number;
  /** Seconds between the end of a reply and the next turn in the mean; exponential. */
  think: number;
  /** Tokens of a turn's prompt and of its reply. */
  prompt: Distribution;
  reply: Distribution;
}

export interface Turn {
  prompt: number;
  reply: number;
  /** Milliseconds after its end until the next one is asked for; `null`: it is the last. */
  think: number | null;
}

export interface Conversation {
  number: number;
  /** When it is first heard of, in milliseconds. */
  start: number;
  /** Whether there is a state that it goes on from. */
  hasState: boolean;
  turn(index: number): Turn;
}

/** Random numbers of a turn. */
const DRAWS = { prompt: 0, reply: 1, last: 2, think: 3 };

/** Streams of random numbers that are no conversation's. */
const ARRIVALS = 2 ** 32 - 1;

/**
 * Conversations in the order of their starts. The load is steady from the beginning on: there are
 * conversations then in whose pauses it falls.
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
      const draw = (what: keyof typeof DRAWS) => random(number, 4 * index + DRAWS[what]);
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
  const between = 1000 / load.arrivals.perSecond;
  for (let i = 0, at = 0;; i++) {
    at += exponential(between, random(ARRIVALS, 2 * i));
    if (at >= until) return all;
    // Turns come at the rate that is asked for. Of each that does not begin a conversation, either
    // the turn before was in this time, or the pause had begun before.
    const chance = random(ARRIVALS, 2 * i + 1) * load.turns;
    if (chance < 1) all.push(conversation(i, at, false));
    else if ((chance - 1) / (load.turns - 1) < Math.exp(-at / 1000 / load.think)) {
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
