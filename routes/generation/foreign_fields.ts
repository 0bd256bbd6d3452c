/**
 * Sampling and prompt fields of other servers that this server does not support. A value without
 * effect is accepted. Any other value is rejected, because ignoring it would silently change the
 * reply.
 */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";

type Body = Record<string, unknown>;

/** Accepted values besides null and empty ones: a list or a predicate. */
type Neutral = readonly unknown[] | ((value: unknown, body: Body) => boolean);

interface Group {
  fields: Readonly<Record<string, Neutral>>;
  /** Advice for the error message. */
  remedy: string;
}

/** Accepts the value of an equivalent field. */
function sameAs(field: string, ...others: unknown[]): Neutral {
  return (value, body) => others.includes(value) || value === body[field];
}

const notPositive: Neutral = (value) => typeof value === "number" && value <= 0;

/** Accepts any penalty range if no penalty is set. */
const penaltyRange: Neutral = (value, body) =>
  value === -1 || value === 0 ||
  [body.repetition_penalty ?? 1, body.presence_penalty ?? 0, body.frequency_penalty ?? 0]
      .join() === "1,0,0";

/** Fields of all generation routes: from vLLM, llama.cpp, SGLang, TGI and text-generation-webui. */
const SAMPLING: readonly Group[] = [
  {
    fields: {
      typical: [1],
      typical_p: [1],
      tfs: [1],
      tfs_z: [1],
      top_a: [0],
      skew: [0],
      epsilon_cutoff: [0],
      eta_cutoff: [0],
      nsigma: notPositive,
      top_n_sigma: notPositive,
      adaptive_target: notPositive,
      xtc_probability: [0],
      min_keep: [0, 1],
      mirostat: [0],
      mirostat_mode: [0],
      samplers: [],
      sampler_order: [],
      sampler_priority: [],
    },
    remedy: "use top_p, top_k and min_p",
  },
  {
    fields: {
      dynamic_temperature: [false],
      dynatemp_range: [0],
      smoothing_factor: [0],
      do_sample: [true],
      penalty_alpha: [0],
      guidance_scale: [1],
      watermark: [false],
      watermarking: [false],
    },
    remedy: "use temperature; 0 selects the most probable token",
  },
  {
    fields: {
      rep_pen: sameAs("repetition_penalty", 0, 1),
      repeat_penalty: sameAs("repetition_penalty", 0, 1),
      encoder_repetition_penalty: [1],
      no_repeat_ngram_size: [0],
      dry_multiplier: [0],
      rep_pen_range: penaltyRange,
      repeat_last_n: penaltyRange,
      repetition_penalty_range: penaltyRange,
      repetition_detection: [],
    },
    remedy: "use repetition_penalty, presence_penalty or frequency_penalty, which apply to all " +
      "tokens sampled in the conversation",
  },
  {
    fields: {
      use_beam_search: [false],
      num_beams: [1],
      length_penalty: [1],
    },
    remedy: "use n for several replies",
  },
  {
    fields: {
      n_predict: sameAs("max_tokens", -1),
      num_predict: sameAs("max_tokens", -1),
      max_new_tokens: sameAs("max_tokens", -1),
    },
    remedy: "use max_tokens",
  },
  {
    fields: {
      stop_token_ids: [],
      stopping_strings: sameList("stop"),
      include_stop_str_in_output: [false],
      ban_eos_token: sameAs("ignore_eos", false),
      min_length: sameAs("min_tokens", 0),
      min_new_tokens: sameAs("min_tokens", 0),
    },
    remedy: "use stop, ignore_eos or min_tokens; stop strings are not included in replies",
  },
  {
    fields: {
      allowed_token_ids: [],
      bad_words: [],
      banned_strings: [],
      banned_tokens: [],
      custom_token_bans: [],
      logits_processors: [],
      lora: [],
    },
    remedy: "use logit_bias, or guided_choice in chat completions",
  },
  {
    fields: {
      prompt_logprobs: [false],
      logprob_token_ids: [],
      n_probs: sameAs("logprobs", 0),
      return_token_ids: [false],
      return_tokens_as_token_ids: [false],
      return_prompt_text: [false],
      skip_special_tokens: [true],
    },
    remedy: "use logprobs for the tokens of the reply, or /v1/tokenize for the ids of a text",
  },
  {
    fields: { truncate_prompt_tokens: [-1], prompt_embeds: [] },
    remedy: "send the prompt as text",
  },
  { fields: { sampler_seed: sameAs("seed", -1) }, remedy: "use seed" },
  { fields: { grammar_string: [] }, remedy: "use guided_grammar in chat completions" },
];

/** Field of routes with `n`: all generated replies are returned. */
const BEST_OF: Group = {
  fields: { best_of: sameAs("n", 1) },
  remedy: "use n for several replies",
};

const CHAT: readonly Group[] = [
  BEST_OF,
  { fields: { echo: [false] }, remedy: "prepend the messages yourself if needed" },
  { fields: { max_output_tokens: sameAs("max_tokens", -1) }, remedy: "use max_tokens" },
  {
    fields: { chat_template: [], chat_template_kwargs: withoutThinking, documents: [] },
    remedy: "send the text as messages, or send the whole prompt to /v1/completions",
  },
];

const TEMPLATE: Group = {
  fields: { continue_final_message: [false], add_generation_prompt: [true] },
  remedy: "use chat completions, which support it",
};

const STRUCTURED_OUTPUT: Group = {
  fields: {
    grammar: [],
    guided_json: [],
    json_schema: [],
    structured_outputs: [],
  },
  remedy: "use structured output in chat completions, or text.format in responses",
};

/** Fields of text completions, which have only `max_tokens`. */
const LIMITS: readonly Group[] = [{
  fields: {
    max_completion_tokens: sameAs("max_tokens", -1),
    max_output_tokens: sameAs("max_tokens", -1),
  },
  remedy: "use max_tokens",
}];

const RESPONSES: readonly Group[] = [
  TEMPLATE,
  STRUCTURED_OUTPUT,
  {
    fields: {
      guided_regex: [],
      guided_choice: [],
      guided_grammar: [],
      response_format: (value) => (value as { type?: unknown }).type === "text",
    },
    remedy: STRUCTURED_OUTPUT.remedy,
  },
  {
    fields: { n: [1], best_of: [1], echo: [false], ignore_eos: [false], min_tokens: notPositive },
    remedy: "use chat or text completions, which support it",
  },
  {
    fields: {
      max_tokens: sameAs("max_output_tokens", -1),
      max_completion_tokens: sameAs("max_output_tokens", -1),
    },
    remedy: "use max_output_tokens",
  },
];

/** Groups of fields by kind of request. */
const GROUPS = {
  chat: [...SAMPLING, ...CHAT],
  completions: [...SAMPLING, BEST_OF, ...LIMITS, TEMPLATE, STRUCTURED_OUTPUT],
  responses: [...SAMPLING, ...RESPONSES],
};

/** Returns a schema that first rejects fields of other servers that would change the reply. */
export function rejectForeignFields<T extends z.ZodType>(schema: T, kind: keyof typeof GROUPS) {
  return z.preprocess((body) => {
    if (typeof body === "object" && body !== null) assertNeutral(body as Body, GROUPS[kind]);
    return body;
  }, schema);
}

/** Returns the part of an operation's description about these fields. */
export function describeForeignFields(kind: keyof typeof GROUPS): string {
  const names = GROUPS[kind].flatMap(({ fields }) => Object.keys(fields)).sort();
  return "These fields of other servers are not supported. They return 400 `unsupported_value` " +
    `unless their value has no effect: \`${names.join("`, `")}\`.`;
}

/** @throws InferenceError `unsupported_value`, naming the field */
function assertNeutral(body: Body, groups: readonly Group[]): void {
  for (const { fields, remedy } of groups) {
    for (const [param, neutral] of Object.entries(fields)) {
      const value = Object.hasOwn(body, param) ? body[param] : null;
      if (isEmpty(value)) continue;
      const accepted = typeof neutral === "function"
        ? neutral(value, body)
        : neutral.includes(value);
      if (accepted) continue;
      const shown = JSON.stringify(value).slice(0, 80);
      const message = `${param}: ${shown} is not supported; omit it, and ${remedy}`;
      throw new InferenceError("unsupported_value", message, { param });
    }
  }
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** Accepts a list of the same strings as another field. */
function sameList(field: string): Neutral {
  return (value, body) => JSON.stringify([value].flat()) === JSON.stringify([body[field]].flat());
}

/** Accepts template variables that only disable reasoning. */
function withoutThinking(value: unknown): boolean {
  return typeof value === "object" && value !== null &&
    Object.entries(value).every(([name, setting]) =>
      ["enable_thinking", "thinking"].includes(name) && setting === false
    );
}
