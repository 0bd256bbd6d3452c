/** What `POST /v1/chat/completions` takes, and what it becomes for a session. */

import { z } from "zod";
import { InferenceError } from "../src/core/errors.ts";
import type { Sampling, TurnRequest } from "../src/session/session_types.ts";
import { parse } from "./validation.ts";

const textPart = z.object({
  type: z.literal("text", { error: "only parts of type text are supported" }),
  text: z.string(),
});

const content = z.union([z.string(), z.array(textPart)], {
  error: "expected a string or a list of text parts",
});

const message = z.union([
  z.object({ role: z.enum(["system", "developer", "user"]), content }),
  z.object({
    role: z.literal("assistant"),
    content: content.nullish().transform((value) => value ?? ""),
  }),
]);

/** Discriminated by hand: an unknown role is told as such, and not as a wrong content. */
const messages = z.array(
  z.object({
    role: z.enum(["system", "developer", "user", "assistant"], {
      error: "expected system, developer, user or assistant",
    }),
  }).loose().pipe(message),
);

const stop = z.union(
  [z.string().min(1), z.array(z.string().min(1)).max(16)],
  { error: "expected a string or a list of at most 16 strings" },
);

/** Replies to one prompt at most. */
const MAX_CHOICES = 16;

/** Ten years: a longer time is as good as none. */
const MAX_TTL_SECONDS = 10 * 366 * 24 * 3600;

const schema = z.object({
  model: z.string().nullish(),
  messages: messages.nullish(),
  state_id: z.string().nullish(),
  conversation: z.union([z.string(), z.object({ id: z.string() }).transform(({ id }) => id)], {
    error: "expected an id, or an object with one",
  }).nullish(),
  on_mismatch: z.enum(["error", "reread"]).nullish(),
  state_ttl: z.int().min(60).max(MAX_TTL_SECONDS).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  stop: stop.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  penalty_decay: z.number().min(0).max(1).nullish(),
  logit_bias: z.record(z.string().regex(/^\d{1,9}$/), z.number().min(-100).max(100)).nullish(),
  seed: z.int().nullish(),
  n: z.int().min(1).max(MAX_CHOICES).nullish(),
}, { error: "expected a JSON object" });

/** Fields that are understood and cannot be served, with the values that ask for nothing. */
const UNSUPPORTED: Record<string, { fine: (value: unknown) => boolean; message: string }> = {
  logprobs: { fine: (value) => value === false, message: "log probabilities are not supported" },
  top_logprobs: { fine: (value) => value === 0, message: "log probabilities are not supported" },
  tools: { fine: isEmpty, message: "tools are not supported" },
  functions: { fine: isEmpty, message: "functions are not supported" },
  tool_choice: { fine: isNone, message: "tools are not supported" },
  function_call: { fine: isNone, message: "functions are not supported" },
  response_format: {
    fine: (value) => typeof value === "object" && (value as { type?: unknown }).type === "text",
    message: 'only {"type":"text"} is supported',
  },
  modalities: {
    fine: (value) => Array.isArray(value) && value.every((item) => item === "text"),
    message: 'only ["text"] is supported',
  },
  audio: { fine: () => false, message: "audio is not supported" },
};

export interface ChatRequest {
  /** As the client calls it; `undefined` leaves it to the worker. */
  model: string | undefined;
  stream: boolean;
  includeUsage: boolean;
  /** Replies to write, each with a state of its own. */
  choices: number;
  turn: TurnRequest;
}

/** @throws InferenceError `invalid_value` or `unsupported_value`, naming the field */
export function parseChat(body: unknown): ChatRequest {
  const request = parse(schema, body);
  assertSupported(body as Record<string, unknown>);
  const stream = request.stream ?? false;
  return {
    model: request.model ?? undefined,
    stream,
    choices: request.n ?? 1,
    includeUsage: stream && (request.stream_options?.include_usage ?? false),
    turn: {
      messages: request.messages ?? [],
      stateId: request.state_id ?? undefined,
      conversation: request.conversation ?? undefined,
      reread: request.on_mismatch === "reread",
      ttl: typeof request.state_ttl === "number" ? 1000 * request.state_ttl : undefined,
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
      stop: typeof request.stop === "string" ? [request.stop] : request.stop ?? undefined,
      sampling: sampling(request),
      seed: typeof request.seed === "number" ? BigInt.asUintN(64, BigInt(request.seed)) : undefined,
      stream,
    },
  };
}

/** Only what the request says: the rest is the worker's to choose. */
function sampling(request: z.infer<typeof schema>): Partial<Sampling> {
  const wanted = {
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    presencePenalty: request.presence_penalty,
    frequencyPenalty: request.frequency_penalty,
    penaltyDecay: request.penalty_decay,
    logitBias: request.logit_bias && biasById(request.logit_bias),
  };
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => (value ?? null) !== null));
}

function biasById(bias: Record<string, number>): Map<number, number> {
  return new Map(Object.entries(bias).map(([id, value]) => [Number(id), value]));
}

function assertSupported(body: Record<string, unknown>): void {
  for (const [param, { fine, message }] of Object.entries(UNSUPPORTED)) {
    const value = body[param];
    if (value === undefined || value === null || fine(value)) continue;
    throw new InferenceError("unsupported_value", `${param}: ${message}`, { param });
  }
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function isNone(value: unknown): boolean {
  return value === "none" || value === "auto";
}
