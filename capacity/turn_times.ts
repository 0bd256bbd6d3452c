/** When things happened to turns, simulated or real, and what figures come of that. */

/** A turn as its client sees it; times in milliseconds since the beginning. */
export interface TurnTimes {
  requestedAt: number;
  /** Texts as they came, and of how many tokens each was. */
  chunks: { at: number; tokens: number }[];
  /** When its last word came, the state stored, or the refusal; `null`: not yet. */
  endedAt: number | null;
  rejected: boolean;
  /** Milliseconds that it waited for a slot; `null` where nobody tells. */
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
  /** Turns that were asked for within the window; each has finished, was refused, or goes on at its end. */
  turns: { asked: number; finished: number; refused: number; under_way: number };
  /** Of these turns; `null` where there is nothing to tell. */
  ttft_ms: Quantiles | null;
  /** Between two texts of a reply, each of one token or several. */
  gap_ms: Quantiles | null;
  /** A reply's time for each token, from its first on. */
  token_ms: Quantiles | null;
  queue_ms: Quantiles | null;
  /** Refused turns over asked ones. */
  refused: number;
  /** Within the window, over all workers. */
  turns_per_second: number;
  tokens_per_second: number;
  /** Turns under way at once, in the mean. */
  present: number;
}

export function computeFigures(all: readonly TurnTimes[], { from, to }: Window): Figures {
  const turns = all.filter(({ requestedAt: asked }) => asked >= from && asked < to);
  const over = turns.filter(({ endedAt: ended }) => ended !== null && ended <= to);
  const refused = turns.filter((turn) => turn.rejected).length;
  const finished = over.filter((turn) => !turn.rejected).length;
  const seconds = (to - from) / 1000;
  let tokens = 0, present = 0;
  for (const { requestedAt: asked, chunks: texts, endedAt: ended } of all) {
    for (const text of texts) if (text.at >= from && text.at < to) tokens += text.tokens;
    present += Math.max(0, Math.min(ended ?? Infinity, to) - Math.max(asked, from));
  }
  return {
    turns: { asked: turns.length, finished, refused, under_way: turns.length - finished - refused },
    ttft_ms: quantiles(
      turns.flatMap(({ requestedAt: asked, chunks: texts }) => texts.slice(0, 1).map(({ at }) => at - asked)),
    ),
    gap_ms: quantiles(
      turns.flatMap(({ chunks: texts }) => texts.slice(1).map(({ at }, i) => at - texts[i].at)),
    ),
    token_ms: quantiles(turns.flatMap(({ chunks: texts }) => perToken(texts))),
    queue_ms: quantiles(turns.flatMap(({ queueMs: queued }) => queued ?? [])),
    refused: turns.length === 0 ? 0 : refused / turns.length,
    turns_per_second: turns.length / seconds,
    tokens_per_second: tokens / seconds,
    present: present / (to - from),
  };
}

/** @returns `null` of no values */
export function quantiles(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function perToken(texts: TurnTimes["chunks"]): number[] {
  const later = texts.slice(1).reduce((sum, { tokens }) => sum + tokens, 0);
  return later === 0 ? [] : [(texts[texts.length - 1].at - texts[0].at) / later];
}
