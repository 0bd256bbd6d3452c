/**
 * What a worker counts, for Prometheus: vLLM's names where there is the same thing to tell, with
 * `rwkv:` before them.
 */

import { context } from "@opentelemetry/api";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ObservedRequest } from "../../routes/middleware/request_observer.ts";
import { FAULT_KINDS, type FaultKind, LIMIT_KINDS, type LimitKind } from "../core/errors.ts";
import type { RejectionReason, Telemetry, TurnMetrics, TurnOutcome } from "../core/telemetry.ts";
import type { EngineInfo } from "../engine/engine.ts";
import type { SchedulerSnapshot } from "../scheduler/scheduler_stats.ts";
import { recordTurnSpan } from "./traces.ts";

/** Upper bounds, in seconds. */
const SHORT = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const LONG = [...SHORT, 10, 30, 60, 120, 300, 600];

/** What has become of all turns that were asked for; those under way have come to nothing yet. */
export interface TurnCounts {
  received: number;
  /** Those that were told why not. */
  rejected: number;
  stopped: number;
  length: number;
  /** Their clients left, or the worker was to end. */
  aborted: number;
  failed: number;
}

/** What is known once the model runs. */
export interface WorkerMetricsSource {
  engine: { info: EngineInfo };
  modelId: string;
  schedulerStats: () => SchedulerSnapshot;
}

const COUNTED = {
  stop: "stopped",
  length: "length",
  cancelled: "aborted",
  error: "failed",
} as const satisfies Record<TurnOutcome, keyof TurnCounts>;

export class Metrics implements Telemetry {
  readonly #registry = new Registry();
  readonly #prompt = this.#counter(
    "prompt_tokens_total",
    "Tokens of prompts, cached ones included",
  );
  readonly #cached = this.#counter(
    "cached_prompt_tokens_total",
    "Tokens of prompts that did not have to be read again",
  );
  readonly #written = this.#counter("generation_tokens_total", "Tokens written");
  readonly #received = this.#counter(
    "requests_received_total",
    "Turns asked for: those not begun, those that have ended, and those under way",
  );
  readonly #unbegun = this.#counter(
    "requests_rejected_total",
    "Turns that were not begun, by the code of the error that their client got",
    "code",
  );
  readonly #success = this.#counter(
    "request_success_total",
    "Turns that have ended, by how: stop, length, or abort where they were cut short",
    "finished_reason",
  );
  readonly #failed = this.#counter("request_failure_total", "Turns that ended with an error");
  readonly #first = this.#histogram(
    "time_to_first_token_seconds",
    "From a turn's arrival to its first token",
    LONG,
  );
  readonly #between = this.#histogram(
    "inter_token_latency_seconds",
    "Between a token and the one before; those that came together share their time",
    SHORT,
  );
  readonly #whole = this.#histogram(
    "e2e_request_latency_seconds",
    "From a turn's arrival to its end, its state stored",
    LONG,
  );
  readonly #queued = this.#histogram("request_queue_time_seconds", "In the queue", LONG);
  readonly #loads = this.#histogram(
    "state_load_seconds",
    "Reading a state's bytes, from memory or from the store",
    SHORT,
    "from",
  );
  readonly #loadBytes = this.#counter("state_load_bytes_total", "States' bytes read", "from");
  readonly #saves = this.#histogram("state_save_seconds", "Storing what a turn came to", SHORT);
  readonly #saveBytes = this.#counter("state_save_bytes_total", "Bytes of what turns came to");
  readonly #saveFailures = this.#counter(
    "state_save_failures_total",
    "Turns whose state could not be stored",
  );
  readonly #refusals = this.#counter(
    "limit_rejections_total",
    "Requests not taken since a key may use no more, by what",
    "limit",
  );
  readonly #retries = this.#counter(
    "kv_retries_total",
    "Times that a busy database was asked again",
  );
  readonly #losses = this.#counter("device_losses_total", "Times that the device was lost");
  readonly #faults = this.#counter(
    "engine_faults_total",
    "Failures of the engine by what failed, and of turns whose states gave no numbers",
    "kind",
  );
  readonly #rebuilds = this.#counter(
    "engine_restarts_total",
    "Times that an engine was opened in the place of one that had failed",
  );
  readonly #answers = this.#histogram(
    "http_request_duration_seconds",
    "From a request to the beginning of its answer",
    LONG,
    "method",
    "route",
    "status",
  );

  readonly #turns: TurnCounts = {
    received: 0,
    rejected: 0,
    stopped: 0,
    length: 0,
    aborted: 0,
    failed: 0,
  };

  constructor() {
    this.#gauge(
      "num_requests_in_progress",
      "Turns asked for that have not come to an end: waiting, running, being read or stored",
      () => this.inProgress,
    );
    this.#gauge("process_resident_memory_bytes", "Memory of the process", () => {
      return Deno.memoryUsage().rss;
    }, "");
    for (const limit of LIMIT_KINDS) this.#refusals.inc({ limit }, 0);
    for (const kind of FAULT_KINDS) this.#faults.inc({ kind }, 0);
    for (const from of ["memory", "store"]) this.#loadBytes.inc({ from }, 0);
    for (const finished_reason of ["stop", "length", "abort"]) {
      this.#success.inc({ finished_reason }, 0);
    }
  }

  /** Counts what a running worker knows by itself. */
  observeWorker({ engine: { info }, modelId, schedulerStats: numbers }: WorkerMetricsSource): void {
    const now = (name: string, help: string, value: (numbers: SchedulerSnapshot) => number) =>
      this.#gauge(name, help, () => value(numbers()));
    const total = (name: string, help: string, value: (numbers: SchedulerSnapshot) => number) =>
      this.#total(name, help, () => value(numbers()));
    now("num_requests_running", "Turns that have a slot", ({ running }) => running);
    now("num_requests_waiting", "Turns that wait for one", ({ waiting }) => waiting);
    now("slots", "Turns that can run at once", ({ slots }) => slots);
    now("batch_size", "Turns in the last step", ({ batchSize: batch }) => batch);
    now(
      "generation_tokens_per_second",
      "Tokens written per second, of late",
      ({ tokensPerSecond }) => tokensPerSecond,
    );
    total(
      "queue_rejections_total",
      "Turns not taken, the queue being full",
      (n) => n.queueRejections,
    );
    total(
      "num_preemptions_total",
      "Times that a turn was suspended, to leave its slot to another tenant",
      ({ preemptions: preempted }) => preempted,
    );
    total("engine_steps_total", "Steps of the model", ({ steps }) => steps);
    total(
      "engine_prefill_tokens_total",
      "Tokens of prompts read",
      ({ prefillTokens: tokensRead }) => tokensRead,
    );
    total(
      "state_slot_hits_total",
      "Turns whose slot still held the state that they went on from",
      ({ warmSlotHits: warm }) => warm,
    );
    const memory = this.#labelled("device_memory_bytes", "What the engine has allocated", "kind");
    for (const [kind, bytes] of Object.entries(info.memory)) memory.set({ kind }, bytes);
    const loading = this.#labelled("load_seconds", "What opening the engine took", "part");
    for (const [part, ms] of Object.entries(info.loading)) loading.set({ part }, ms / 1000);
    const { device, adapter, quant } = info;
    this.#labelled("worker_info", "What runs here; always 1", "model", "device", "adapter", "quant")
      .set({ model: modelId, device, adapter, quant: String(quant) }, 1);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  observeResponse({ method, route, status, seconds }: ObservedRequest): void {
    this.#answers.observe({ method, route, status }, seconds);
  }

  timeToFirstToken(seconds: number): void {
    this.#first.observe(seconds);
  }

  interTokenLatency(count: number, seconds: number): void {
    for (let i = 0; i < count; i++) this.#between.observe(seconds);
  }

  /** As the counters have it, for who can't ask for them any more. */
  get turnCounts(): Readonly<TurnCounts> {
    return this.#turns;
  }

  /** Turns that have not come to an end. */
  get inProgress(): number {
    const { received, rejected: unbegun, stopped, length, aborted, failed } = this.#turns;
    return received - unbegun - stopped - length - aborted - failed;
  }

  turnsRequested(count: number): (why: RejectionReason) => void {
    this.#received.inc(count);
    this.#turns.received += count;
    return (code) => {
      this.#unbegun.inc({ code }, count);
      this.#turns.rejected += count;
    };
  }

  turnStarted(): (turn: TurnMetrics) => void {
    const request = context.active();
    return (turn) => {
      this.#count(turn);
      recordTurnSpan(turn, request);
    };
  }

  #count(turn: TurnMetrics): void {
    this.#prompt.inc(turn.promptTokens);
    this.#cached.inc(turn.cachedTokens);
    this.#written.inc(turn.completionTokens);
    this.#whole.observe(turn.seconds);
    if (turn.queuedSeconds !== null) this.#queued.observe(turn.queuedSeconds);
    this.#turns[COUNTED[turn.outcome]]++;
    if (turn.outcome === "error") return this.#failed.inc();
    const finished_reason = turn.outcome === "cancelled" ? "abort" : turn.outcome;
    this.#success.inc({ finished_reason });
  }

  stateLoaded(from: "memory" | "store", bytes: number, seconds: number): void {
    this.#loads.observe({ from }, seconds);
    this.#loadBytes.inc({ from }, bytes);
  }

  stateSaved(bytes: number | null, seconds: number): void {
    if (bytes === null) return this.#saveFailures.inc();
    this.#saves.observe(seconds);
    this.#saveBytes.inc(bytes);
  }

  limitExceeded(limit: LimitKind): void {
    this.#refusals.inc({ limit });
  }

  storeRetried(): void {
    this.#retries.inc();
  }

  engineFailed(kind: FaultKind): void {
    this.#faults.inc({ kind });
    if (kind === "device_lost") this.#losses.inc();
  }

  engineRebuilt(): void {
    this.#rebuilds.inc();
  }

  #counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name: `rwkv:${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram<L extends string>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: L[]
  ): Histogram<L> {
    const registers = [this.#registry];
    return new Histogram({ name: `rwkv:${name}`, help, buckets, labelNames, registers });
  }

  #labelled<L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
    return new Gauge({ name: `rwkv:${name}`, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, value: () => number, prefix = "rwkv:"): void {
    new Gauge({
      name: prefix + name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value());
      },
    });
  }

  /** A counter that is kept elsewhere. */
  #total(name: string, help: string, value: () => number): void {
    new Counter({
      name: `rwkv:${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }
}
