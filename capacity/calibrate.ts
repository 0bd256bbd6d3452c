/** How fast real workers are, as a client sees it: what a simulation of them has to know. */

import { summarize } from "../src/benchmark/cases.ts";
import type { StreamedReply } from "../bench/stream_client.ts";
import { type Distribution, meanOf } from "./distribution.ts";
import type { RealClient } from "./real_clients.ts";
import type { SpeedProfile } from "./speed_profile.ts";

/** Conversations that write at once, and tokens of each. */
const BATCHES = [1, 2, 4, 8];
const REPLY = 32;

/** Tokens of prompts, all within one step. */
const PROMPTS = [16, 70, 140];

export interface Calibration {
  profile: SpeedProfile;
  /** What all workers do at once, over what one does alone. */
  cores: number;
  request: number;
  kv: { load: number; save: number };
  /** Tokens of a prompt that are not its words. */
  around: number;
}

/**
 * Milliseconds, medians of `rounds` rounds.
 *
 * @param engine What `bench` tells of one alone: what a step costs by itself, and a read-back, which
 * a client can't tell from the rest of a request.
 */
export async function calibrate(
  client: RealClient,
  { urls, rounds, engine }: { urls: readonly string[]; rounds: number; engine: SpeedProfile },
): Promise<Calibration> {
  const [url] = urls;
  for (const one of urls) await write(client, one, 2);
  const rates = BATCHES.map((): number[] => []);
  const firsts = PROMPTS.map((): number[] => []);
  const cores: number[] = [], loads: number[] = [], saves: number[] = [];
  let around = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [i, batch] of BATCHES.entries()) rates[i].push(await write(client, url, batch));
    const alone = await write(client, url, 4);
    const together = await Promise.all(urls.map((one) => write(client, one, 4)));
    cores.push(together.reduce((sum, rate) => sum + rate, 0) / alone);
    for (const [i, prompt] of PROMPTS.entries()) {
      for (let again = 0; again < 2; again++) {
        const fresh = await client.requestTurn(url, { prompt, reply: 2 });
        firsts[i].push(first(fresh));
        around = fresh.promptTokens - prompt;
        if (prompt !== PROMPTS[0]) continue;
        saves.push(fresh.endedAt - fresh.times[fresh.times.length - 1]);
        // At another worker, which does not have it in memory.
        const { stateId } = fresh;
        const resumed = await client.requestTurn(urls[1 + again % (urls.length - 1)], {
          prompt,
          reply: 2,
          stateId,
        });
        loads.push(Math.max(0, first(resumed) - first(fresh)));
      }
    }
  }
  const median = (values: readonly number[]) => summarize(values).median;
  const { token, request } = line(PROMPTS.map((prompt, i) => ({
    tokens: prompt + around,
    ms: median(firsts[i]),
  })));
  return {
    profile: {
      ...engine,
      decode: BATCHES.map((batch, i) => ({ batch, ms: 1000 * batch / median(rates[i]) })),
      read: { step: engine.read.step, token },
    },
    cores: median(cores),
    request: Math.max(0, request - engine.read.step - engine.readBack),
    kv: { load: median(loads), save: Math.max(0, median(saves)) },
    around,
  };
}

/** The mean of two, which tell the same apart from how fast. */
export function meanCalibration(a: Calibration, b: Calibration): Calibration {
  const mean = (of: (one: Calibration) => number) => (of(a) + of(b)) / 2;
  return {
    ...a,
    profile: {
      ...a.profile,
      decode: a.profile.decode.map(({ batch }, i) => ({
        batch,
        ms: mean(({ profile }) => profile.decode[i].ms),
      })),
      read: { ...a.profile.read, token: mean(({ profile }) => profile.read.token) },
    },
    cores: mean(({ cores }) => cores),
    request: mean(({ request }) => request),
    kv: { load: mean(({ kv }) => kv.load), save: mean(({ kv }) => kv.save) },
  };
}

/** Turns that all workers can do at most, writing four at once. */
export function turnsPerSecond(
  { profile: { decode, read }, cores, around }: Calibration,
  { prompt, reply }: { prompt: Distribution; reply: Distribution },
): number {
  const { ms } = decode[BATCHES.indexOf(4)];
  return 1000 * cores / ((meanOf(prompt) + around) * read.token + meanOf(reply) * ms / 4);
}

/** Tokens per second of so many conversations that write, once all do. */
async function write(client: RealClient, url: string, batch: number): Promise<number> {
  const answers = await Promise.all(
    Array.from({ length: batch }, () => client.requestTurn(url, { prompt: 4, reply: REPLY })),
  );
  const from = Math.max(...answers.map(({ times }) => times[0]));
  const to = Math.min(...answers.map(({ times }) => times[times.length - 1]));
  const texts = answers.flatMap(({ times }) => times.filter((time) => time > from && time <= to));
  const all = answers.reduce((sum, { times }) => sum + times.length, 0);
  return texts.length * batch * REPLY / all / ((to - from) / 1000);
}

function first({ requestedAt: asked, times }: StreamedReply): number {
  return times[0] - asked;
}

/** The line through points that has the least squares. */
function line(points: readonly { tokens: number; ms: number }[]) {
  const mean = (of: (point: typeof points[number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(({ tokens }) => tokens), mean(({ ms }) => ms)];
  const token = mean(({ tokens, ms }) => (tokens - x) * (ms - y)) /
    mean(({ tokens }) => (tokens - x) ** 2);
  return { token, request: y - token * x };
}
