/** Timings of turns, simulated or real, and the metrics computed from them. */

/** A turn as its client observes it; times in milliseconds since the start. */
export interface TurnTimes {
  requestedAt: number;
  /** Text chunks: when each arrived, and its number of tokens. */
  chunks: { at: number; tokens: number }[];
  /** Time of the last event: the stored end or the rejection; `null` while in progress. */
  endedAt: number | null;
  rejected: boolean;
  /** Milliseconds that it waited for a slot; `null` if unknown. */
  queueMs: number | null;
}

export interface Window {
  from: number;
  to: number;
}

/** Milliseconds. */
export interface Quantiles {
  p50: number;
  p95: number;
  p99: number;
}

export interface Figures {
  /** Turns requested within the window: completed, rejected, or in progress at its end. */
  turns: { asked: number; finished: number; refused: number; under_way: number };
  /** Of these turns; `null` without samples. */
  ttft_ms: Quantiles | null;
  /** Between two chunks of a reply, each of one or more tokens. */
  gap_ms: Quantiles | null;
  /** Mean time per token of a reply, after its first chunk. */
  token_ms: Quantiles | null;
  queue_ms: Quantiles | null;
  /** Rejected turns as a fraction of requested ones. */
  refused: number;
  /** Within the window, over all workers. */
  turns_per_second: number;
  tokens_per_second: number;
  /** Mean number of turns in progress. */
  present: number;
}

export function computeFigures(all: readonly TurnTimes[], { from, to }: Window): Figures {
  const turns = all.filter(({ requestedAt }) => requestedAt >= from && requestedAt < to);
  const endedAt = turns.filter(({ endedAt }) => endedAt !== null && endedAt <= to);
  const refused = turns.filter((turn) => turn.rejected).length;
  const finished = endedAt.filter((turn) => !turn.rejected).length;
  const seconds = (to - from) / 1000;
  let tokens = 0, present = 0;
  for (const { requestedAt, chunks, endedAt } of all) {
    for (const chunk of chunks) if (chunk.at >= from && chunk.at < to) tokens += chunk.tokens;
    present += Math.max(0, Math.min(endedAt ?? Infinity, to) - Math.max(requestedAt, from));
  }
  return {
    turns: { asked: turns.length, finished, refused, under_way: turns.length - finished - refused },
    ttft_ms: quantiles(
      turns.flatMap(({ requestedAt, chunks }) =>
        chunks.slice(0, 1).map(({ at }) => at - requestedAt)
      ),
    ),
    gap_ms: quantiles(
      turns.flatMap(({ chunks }) => chunks.slice(1).map(({ at }, i) => at - chunks[i].at)),
    ),
    token_ms: quantiles(turns.flatMap(({ chunks }) => perToken(chunks))),
    queue_ms: quantiles(turns.flatMap(({ queueMs: queued }) => queued ?? [])),
    refused: turns.length === 0 ? 0 : refused / turns.length,
    turns_per_second: turns.length / seconds,
    tokens_per_second: tokens / seconds,
    present: present / (to - from),
  };
}

/** @returns `null` if there are no values */
export function quantiles(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const at = (fraction: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function perToken(chunks: TurnTimes["chunks"]): number[] {
  const later = chunks.slice(1).reduce((sum, { tokens }) => sum + tokens, 0);
  return later === 0 ? [] : [(chunks[chunks.length - 1].at - chunks[0].at) / later];
}
