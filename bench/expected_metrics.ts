/** What clients have sent and been answered, held against what the worker counts of it. */

/** The series of metrics that a tally knows the values of. */
const KNOWN = new RegExp(
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

/** Tokens as any of the API's `usage` tells them. */
export interface ExpectedUsage {
  prompt: number;
  cached: number;
  generated: number;
}

export type FinishReason = "stop" | "length" | "abort";

export class ExpectedMetrics {
  /** Requests sent. */
  requests = 0;
  readonly #answers = new Map<string, number>();
  readonly #turns: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };
  readonly #tokens: ExpectedUsage = { prompt: 0, cached: 0, generated: 0 };
  #stored = 0;

  /** A request was answered. */
  countResponse(method: string, route: string, status: number): void {
    this.requests++;
    const labels = `method="${method}",route="${route}",status="${status}"`;
    this.#answers.set(labels, (this.#answers.get(labels) ?? 0) + 1);
  }

  /** A turn has ended for each of `finishes`; all have one usage. */
  countTurns(finishes: readonly FinishReason[], usage: ExpectedUsage, { stored }: { stored: boolean }): void {
    for (const finish of finishes) this.#turns[finish]++;
    if (stored) this.#stored += finishes.length;
    this.#tokens.prompt += usage.prompt;
    this.#tokens.cached += usage.cached;
    this.#tokens.generated += usage.generated;
  }

  /** What the worker's metrics must be when nothing is under way. */
  expected(): Map<string, number> {
    const { stop, length, abort } = this.#turns;
    return new Map([
      ...[...this.#answers].map(([labels, count]): [string, number] => {
        return [`rwkv:http_request_duration_seconds_count{${labels}}`, count];
      }),
      ...Object.entries(this.#turns).map(([finish, count]): [string, number] => {
        return [`rwkv:request_success_total{finished_reason="${finish}"}`, count];
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

/** The series that differ from what they must be, and those that nobody has caused. */
export function differences(metrics: string, expected: ReadonlyMap<string, number>): string[] {
  const counted = new Map(
    metrics.split("\n").filter((line) => KNOWN.test(line)).map((line): [string, number] => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
  return [...new Set([...expected.keys(), ...counted.keys()])]
    .filter((series) => counted.get(series) !== expected.get(series))
    .map((series) => `${series} is ${counted.get(series)}, and ${expected.get(series)} were sent`);
}
