/** Computes the metrics that a worker must report from the responses that clients received. */

/** The metric series whose values {@linkcode ExpectedMetrics} computes. */
const COMPARED_SERIES = new RegExp(
  "^rwkv:(" + [
    "http_request_duration_seconds_count",
    "request_(success|failure)_total",
    "queue_rejections_total",
    "(prompt|cached_prompt|generation)_tokens_total",
    "e2e_request_latency_seconds_count",
    "state_save_(seconds_count|failures_total)",
    "num_requests_(running|waiting)",
    "device_losses_total",
  ].join("|") + ")\\b",
);

/** Token counts of a `usage` object of the API. */
export interface ExpectedUsage {
  prompt: number;
  cached: number;
  generated: number;
}

export type FinishReason = "stop" | "length" | "abort";

export class ExpectedMetrics {
  /** Requests sent. */
  requests = 0;
  readonly #responses = new Map<string, number>();
  readonly #turns: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };
  readonly #tokens: ExpectedUsage = { prompt: 0, cached: 0, generated: 0 };
  #stored = 0;

  /** Counts a response. */
  countResponse(method: string, route: string, status: number): void {
    this.requests++;
    const labels = `method="${method}",route="${route}",status="${status}"`;
    this.#responses.set(labels, (this.#responses.get(labels) ?? 0) + 1);
  }

  /** Counts the finished turns of one request; `usage` is their sum. */
  countTurns(
    finishReasons: readonly FinishReason[],
    usage: ExpectedUsage,
    { stored }: { stored: boolean },
  ): void {
    for (const reason of finishReasons) this.#turns[reason]++;
    if (stored) this.#stored += finishReasons.length;
    this.#tokens.prompt += usage.prompt;
    this.#tokens.cached += usage.cached;
    this.#tokens.generated += usage.generated;
  }

  /** Returns the expected metrics once no request is in progress. */
  expected(): Map<string, number> {
    const { stop, length, abort } = this.#turns;
    return new Map([
      ...[...this.#responses].map(([labels, count]): [string, number] => {
        return [`rwkv:http_request_duration_seconds_count{${labels}}`, count];
      }),
      ...Object.entries(this.#turns).map(([reason, count]): [string, number] => {
        return [`rwkv:request_success_total{finished_reason="${reason}"}`, count];
      }),
      ["rwkv:request_failure_total", 0],
      ["rwkv:queue_rejections_total", 0],
      ["rwkv:prompt_tokens_total", this.#tokens.prompt],
      ["rwkv:cached_prompt_tokens_total", this.#tokens.cached],
      ["rwkv:generation_tokens_total", this.#tokens.generated],
      ["rwkv:e2e_request_latency_seconds_count", stop + length + abort],
      ["rwkv:state_save_seconds_count", this.#stored],
      ["rwkv:state_save_failures_total", 0],
      ["rwkv:num_requests_running", 0],
      ["rwkv:num_requests_waiting", 0],
      ["rwkv:device_losses_total", 0],
    ]);
  }
}

/** Lists the series whose values differ from the expected ones, including unexpected series. */
export function differences(metrics: string, expected: ReadonlyMap<string, number>): string[] {
  const reported = new Map(
    metrics.split("\n").filter((line) => COMPARED_SERIES.test(line)).map(
      (line): [string, number] => {
        const at = line.lastIndexOf(" ");
        return [line.slice(0, at), Number(line.slice(at + 1))];
      },
    ),
  );
  return [...new Set([...expected.keys(), ...reported.keys()])]
    .filter((series) => reported.get(series) !== expected.get(series))
    .map((series) => `${series} is ${reported.get(series)}, expected ${expected.get(series)}`);
}
