/** Measures over HTTP how fast real workers are: the parameters of their simulation. */

import { summarize } from "../src/benchmark/cases.ts";
import type { StreamedReply } from "../bench/stream_client.ts";
import { type Distribution, meanOf } from "./distribution.ts";
import type { RealClient } from "./real_clients.ts";
import type { SpeedProfile } from "./speed_profile.ts";

/** Batch sizes, and reply tokens of each conversation. */
const BATCHES = [1, 2, 4, 8];
const REPLY_TOKENS = 32;

/** Prompt lengths in tokens; each fits into one step. */
const PROMPT_TOKENS = [16, 70, 140];

export interface Calibration {
  profile: SpeedProfile;
  /** Throughput of all workers together, relative to one worker alone. */
  cores: number;
  request: number;
  kv: { load: number; save: number };
  /** Tokens that the chat template adds to a prompt. */
  around: number;
}

/**
 * Measures the workers; times are milliseconds, medians of `rounds` rounds.
 *
 * @param engine The profile that `bench` measured on one engine: its cost of a step and of a
 * read-back, which a client cannot separate from the rest of a request.
 */
export async function calibrate(
  client: RealClient,
  { urls, rounds, engine }: { urls: readonly string[]; rounds: number; engine: SpeedProfile },
): Promise<Calibration> {
  const [url] = urls;
  for (const one of urls) await decodeRate(client, one, 2);
  const rates = BATCHES.map((): number[] => []);
  const firstTokenTimes = PROMPT_TOKENS.map((): number[] => []);
  const cores: number[] = [], loads: number[] = [], saves: number[] = [];
  let around = 0;
  for (let round = 0; round < rounds; round++) {
    for (const [i, batch] of BATCHES.entries()) rates[i].push(await decodeRate(client, url, batch));
    const alone = await decodeRate(client, url, 4);
    const together = await Promise.all(urls.map((one) => decodeRate(client, one, 4)));
    cores.push(together.reduce((sum, rate) => sum + rate, 0) / alone);
    for (const [i, prompt] of PROMPT_TOKENS.entries()) {
      for (let repeat = 0; repeat < 2; repeat++) {
        const opened = await client.requestTurn(url, { prompt, reply: 2 });
        firstTokenTimes[i].push(firstTokenMs(opened));
        around = opened.promptTokens - prompt;
        if (prompt !== PROMPT_TOKENS[0]) continue;
        saves.push(opened.endedAt - opened.times[opened.times.length - 1]);
        // Resume on another worker, which does not have the state in memory.
        const { stateId } = opened;
        const resumed = await client.requestTurn(urls[1 + repeat % (urls.length - 1)], {
          prompt,
          reply: 2,
          stateId,
        });
        loads.push(Math.max(0, firstTokenMs(resumed) - firstTokenMs(opened)));
      }
    }
  }
  const median = (values: readonly number[]) => summarize(values).median;
  const { token, request } = fitLine(PROMPT_TOKENS.map((prompt, i) => ({
    tokens: prompt + around,
    ms: median(firstTokenTimes[i]),
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

/** Returns the mean of two calibrations of the same workers. */
export function meanCalibration(a: Calibration, b: Calibration): Calibration {
  const mean = (select: (one: Calibration) => number) => (select(a) + select(b)) / 2;
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

/** Estimates the maximum turns per second of all workers, each decoding a batch of four. */
export function turnsPerSecond(
  { profile: { decode, read }, cores, around }: Calibration,
  { prompt, reply }: { prompt: Distribution; reply: Distribution },
): number {
  const { ms } = decode[BATCHES.indexOf(4)];
  return 1000 * cores / ((meanOf(prompt) + around) * read.token + meanOf(reply) * ms / 4);
}

/** Measures tokens per second of `batch` conversations while all of them are decoding. */
async function decodeRate(client: RealClient, url: string, batch: number): Promise<number> {
  const replies = await Promise.all(
    Array.from(
      { length: batch },
      () => client.requestTurn(url, { prompt: 4, reply: REPLY_TOKENS }),
    ),
  );
  const from = Math.max(...replies.map(({ times }) => times[0]));
  const to = Math.min(...replies.map(({ times }) => times[times.length - 1]));
  const measured = replies.flatMap(({ times }) =>
    times.filter((time) => time > from && time <= to)
  );
  const all = replies.reduce((sum, { times }) => sum + times.length, 0);
  return measured.length * batch * REPLY_TOKENS / all / ((to - from) / 1000);
}

function firstTokenMs({ requestedAt, times }: StreamedReply): number {
  return times[0] - requestedAt;
}

/** Fits a line by least squares. */
function fitLine(points: readonly { tokens: number; ms: number }[]) {
  const mean = (select: (point: typeof points[number]) => number) =>
    points.reduce((sum, point) => sum + select(point), 0) / points.length;
  const [x, y] = [mean(({ tokens }) => tokens), mean(({ ms }) => ms)];
  const token = mean(({ tokens, ms }) => (tokens - x) * (ms - y)) /
    mean(({ tokens }) => (tokens - x) ** 2);
  return { token, request: y - token * x };
}
