/**
 * Prometheus metrics of a worker. Names follow vLLM where the meaning is the same, with the prefix
 * `rwkv:`.
 */

import { context } from "@opentelemetry/api";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ObservedRequest } from "../../routes/middleware/request_observer.ts";
import { FAULT_KINDS, type FaultKind, LIMIT_KINDS, type LimitKind } from "../core/errors.ts";
import type { RejectionReason, Telemetry, TurnMetrics, TurnOutcome } from "../core/telemetry.ts";
import type { EngineInfo } from "../engine/engine.ts";
import type { SchedulerSnapshot } from "../scheduler/scheduler_stats.ts";
import { recordTurnSpan } from "./traces.ts";

/** Upper bounds of the buckets, in seconds. */
const SHORT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const LONG_BUCKETS = [...SHORT_BUCKETS, 10, 30, 60, 120, 300, 600];

/** Number of turns by outcome. Turns in progress count only as received. */
export interface TurnCounts {
  received: number;
  /** Turns that were rejected before they started. */
  rejected: number;
  stopped: number;
  length: number;
  /** The client disconnected, or the worker shut down. */
  aborted: number;
  failed: number;
}

/** What becomes available once the model is loaded. */
export interface WorkerMetricsSource {
  engine: { info: EngineInfo };
  modelId: string;
  schedulerStats: () => SchedulerSnapshot;
}

const OUTCOME_COUNTS = {
  stop: "stopped",
  length: "length",
  cancelled: "aborted",
  error: "failed",
} as const satisfies Record<TurnOutcome, keyof TurnCounts>;

export class Metrics implements Telemetry {
  readonly #registry = new Registry();
  readonly #prompt = this.#counter(
    "prompt_tokens_total",
    "Prompt tokens, including cached ones",
  );
  readonly #cached = this.#counter(
    "cached_prompt_tokens_total",
    "Prompt tokens that were not reprocessed",
  );
  readonly #generated = this.#counter("generation_tokens_total", "Generated tokens");
  readonly #received = this.#counter(
    "requests_received_total",
    "Turns requested: rejected, completed and in progress",
  );
  readonly #rejected = this.#counter(
    "requests_rejected_total",
    "Turns rejected before they started, by error code",
    "code",
  );
  readonly #success = this.#counter(
    "request_success_total",
    "Completed turns by finished_reason: stop, length, or abort if cancelled",
    "finished_reason",
  );
  readonly #failed = this.#counter("request_failure_total", "Turns that failed with an error");
  readonly #timeToFirstToken = this.#histogram(
    "time_to_first_token_seconds",
    "Time from the arrival of a turn to its first token",
    LONG_BUCKETS,
  );
  readonly #interTokenLatency = this.#histogram(
    "inter_token_latency_seconds",
    "Time between consecutive tokens; tokens that arrive together share it equally",
    SHORT_BUCKETS,
  );
  readonly #turnLatency = this.#histogram(
    "e2e_request_latency_seconds",
    "Time from the arrival of a turn to its end, including storing its state",
    LONG_BUCKETS,
  );
  readonly #queueTime = this.#histogram(
    "request_queue_time_seconds",
    "Time in the queue",
    LONG_BUCKETS,
  );
  readonly #loads = this.#histogram(
    "state_load_seconds",
    "Time to load a state, from memory or from the store",
    SHORT_BUCKETS,
    "from",
  );
  readonly #loadBytes = this.#counter("state_load_bytes_total", "Bytes of loaded states", "from");
  readonly #saves = this.#histogram(
    "state_save_seconds",
    "Time to store the result of a turn",
    SHORT_BUCKETS,
  );
  readonly #saveBytes = this.#counter("state_save_bytes_total", "Bytes of stored turn results");
  readonly #saveFailures = this.#counter(
    "state_save_failures_total",
    "Turns whose state could not be stored",
  );
  readonly #limitRejections = this.#counter(
    "limit_rejections_total",
    "Requests rejected by a usage limit, by limit",
    "limit",
  );
  readonly #retries = this.#counter(
    "kv_retries_total",
    "Retries of requests to a busy database",
  );
  readonly #losses = this.#counter("device_losses_total", "Device losses");
  readonly #faults = this.#counter(
    "engine_faults_total",
    "Failures of the engine by kind, including turns with NaN or infinite values",
    "kind",
  );
  readonly #restarts = this.#counter(
    "engine_restarts_total",
    "Engine restarts after a failure",
  );
  readonly #httpDurations = this.#histogram(
    "http_request_duration_seconds",
    "Time from a request to the start of its response",
    LONG_BUCKETS,
    "method",
    "route",
    "status",
  );

  readonly #turnCounts: TurnCounts = {
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
      "Turns in progress: loading, queued, running or being stored",
      () => this.inProgress,
    );
    this.#gauge("process_resident_memory_bytes", "Resident memory of the process", () => {
      return Deno.memoryUsage().rss;
    }, "");
    for (const limit of LIMIT_KINDS) this.#limitRejections.inc({ limit }, 0);
    for (const kind of FAULT_KINDS) this.#faults.inc({ kind }, 0);
    for (const from of ["memory", "store"]) this.#loadBytes.inc({ from }, 0);
    for (const finished_reason of ["stop", "length", "abort"]) {
      this.#success.inc({ finished_reason }, 0);
    }
  }

  /** Registers the metrics that a loaded worker provides. */
  observeWorker({ engine: { info }, modelId, schedulerStats }: WorkerMetricsSource): void {
    const gauge = (name: string, help: string, value: (stats: SchedulerSnapshot) => number) =>
      this.#gauge(name, help, () => value(schedulerStats()));
    const counter = (name: string, help: string, value: (stats: SchedulerSnapshot) => number) =>
      this.#total(name, help, () => value(schedulerStats()));
    gauge("num_requests_running", "Turns running in a slot", ({ running }) => running);
    gauge("num_requests_waiting", "Turns waiting for a slot", ({ waiting }) => waiting);
    gauge("slots", "Maximum turns that can run in parallel", ({ slots }) => slots);
    gauge("batch_size", "Turns in the last step", ({ batchSize }) => batchSize);
    gauge(
      "generation_tokens_per_second",
      "Recent generated tokens per second",
      ({ tokensPerSecond }) => tokensPerSecond,
    );
    counter(
      "queue_rejections_total",
      "Turns rejected because the queue was full",
      ({ queueRejections }) => queueRejections,
    );
    counter(
      "num_preemptions_total",
      "Turns suspended to free their slot for another tenant",
      ({ preemptions }) => preemptions,
    );
    counter("engine_steps_total", "Engine steps", ({ steps }) => steps);
    counter(
      "engine_prefill_tokens_total",
      "Prompt tokens processed in prefill",
      ({ prefillTokens }) => prefillTokens,
    );
    counter(
      "state_slot_hits_total",
      "Turns that resumed from a state still present in a slot",
      ({ warmSlotHits }) => warmSlotHits,
    );
    const memory = this.#labelled(
      "device_memory_bytes",
      "Device memory allocated by the engine",
      "kind",
    );
    for (const [kind, bytes] of Object.entries(info.memory)) memory.set({ kind }, bytes);
    const loading = this.#labelled(
      "load_seconds",
      "Duration of each phase of loading the engine",
      "part",
    );
    for (const [part, ms] of Object.entries(info.loading)) loading.set({ part }, ms / 1000);
    const { device, adapter, quant } = info;
    this.#labelled(
      "worker_info",
      "Model and device of the worker; always 1",
      "model",
      "device",
      "adapter",
      "quant",
    )
      .set({ model: modelId, device, adapter, quant: String(quant) }, 1);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Returns all metrics in the Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  observeResponse({ method, route, status, seconds }: ObservedRequest): void {
    this.#httpDurations.observe({ method, route, status }, seconds);
  }

  timeToFirstToken(seconds: number): void {
    this.#timeToFirstToken.observe(seconds);
  }

  interTokenLatency(count: number, seconds: number): void {
    for (let i = 0; i < count; i++) this.#interTokenLatency.observe(seconds);
  }

  /** The counters as plain numbers, for the log after metrics can no longer be scraped. */
  get turnCounts(): Readonly<TurnCounts> {
    return this.#turnCounts;
  }

  /** Number of turns that have not ended. */
  get inProgress(): number {
    const { received, rejected, stopped, length, aborted, failed } = this.#turnCounts;
    return received - rejected - stopped - length - aborted - failed;
  }

  turnsRequested(count: number): (reason: RejectionReason) => void {
    this.#received.inc(count);
    this.#turnCounts.received += count;
    return (code) => {
      this.#rejected.inc({ code }, count);
      this.#turnCounts.rejected += count;
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
    this.#generated.inc(turn.completionTokens);
    this.#turnLatency.observe(turn.seconds);
    if (turn.queuedSeconds !== null) this.#queueTime.observe(turn.queuedSeconds);
    this.#turnCounts[OUTCOME_COUNTS[turn.outcome]]++;
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
    this.#limitRejections.inc({ limit });
  }

  storeRetried(): void {
    this.#retries.inc();
  }

  engineFailed(kind: FaultKind): void {
    this.#faults.inc({ kind });
    if (kind === "device_lost") this.#losses.inc();
  }

  engineRebuilt(): void {
    this.#restarts.inc();
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

  /** Registers a counter whose value is maintained elsewhere. */
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
