/**
 * Fields by which other servers change what is written, and which this one does not have. A value
 * that changes nothing is taken; any other is refused by name, since a reply without it would be
 * a silent wrong answer.
 */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";

type Body = Record<string, unknown>;

/** Values that change nothing, besides null and what is empty. */
type Neutral = readonly unknown[] | ((value: unknown, body: Body) => boolean);

interface Group {
  fields: Readonly<Record<string, Neutral>>;
  /** What to do instead. */
  remedy: string;
}

/** Takes the value of another field, which says the same. */
function sameAs(field: string, ...others: unknown[]): Neutral {
  return (value, body) => others.includes(value) || value === body[field];
}

const notAbove0: Neutral = (value) => typeof value === "number" && value <= 0;

/** How far penalties look back matters only where there are some. */
const window: Neutral = (value, body) =>
  value === -1 || value === 0 ||
  [body.repetition_penalty ?? 1, body.presence_penalty ?? 0, body.frequency_penalty ?? 0]
      .join() === "1,0,0";

/** On all routes that write: names of vLLM, llama.cpp, SGLang, TGI and text-generation-webui. */
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
      nsigma: notAbove0,
      top_n_sigma: notAbove0,
      adaptive_target: notAbove0,
      xtc_probability: [0],
      min_keep: [0, 1],
      mirostat: [0],
      mirostat_mode: [0],
      samplers: [],
      sampler_order: [],
      sampler_priority: [],
    },
    remedy: "choose tokens with top_p, top_k and min_p",
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
    remedy: "send temperature, which is 0 for the most probable token",
  },
  {
    fields: {
      rep_pen: sameAs("repetition_penalty", 0, 1),
      repeat_penalty: sameAs("repetition_penalty", 0, 1),
      encoder_repetition_penalty: [1],
      no_repeat_ngram_size: [0],
      dry_multiplier: [0],
      rep_pen_range: window,
      repeat_last_n: window,
      repetition_penalty_range: window,
      repetition_detection: [],
    },
    remedy: "send repetition_penalty, presence_penalty or frequency_penalty, which look at all " +
      "tokens that were sampled in the conversation",
  },
  {
    fields: {
      use_beam_search: [false],
      num_beams: [1],
      length_penalty: [1],
    },
    remedy: "there is no beam search; send n for several replies",
  },
  {
    fields: {
      n_predict: sameAs("max_tokens", -1),
      num_predict: sameAs("max_tokens", -1),
      max_new_tokens: sameAs("max_tokens", -1),
    },
    remedy: "send max_tokens",
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
    remedy: "send stop, ignore_eos or min_tokens; stop strings are not part of a reply",
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
    remedy: "send logit_bias, or guided_choice in chat completions",
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
    remedy: "send logprobs for the tokens of the reply; /v1/tokenize tells the ids of a text",
  },
  {
    fields: { truncate_prompt_tokens: [-1], prompt_embeds: [] },
    remedy: "send the prompt as the text that is to be read",
  },
  { fields: { sampler_seed: sameAs("seed", -1) }, remedy: "send seed" },
  { fields: { grammar_string: [] }, remedy: "send guided_grammar in chat completions" },
];

/** Where several replies may be asked for: as many as are written are returned. */
const BEST_OF: Group = {
  fields: { best_of: sameAs("n", 1) },
  remedy: "send n for several replies",
};

const CHAT: readonly Group[] = [
  BEST_OF,
  { fields: { echo: [false] }, remedy: "the answer has only what follows the messages" },
  { fields: { max_output_tokens: sameAs("max_tokens", -1) }, remedy: "send max_tokens" },
  {
    fields: { chat_template: [], chat_template_kwargs: withoutThinking, documents: [] },
    remedy: "send the text as messages, or write the whole prompt for /v1/completions",
  },
];

const TEMPLATE: Group = {
  fields: { continue_final_message: [false], add_generation_prompt: [true] },
  remedy: "only chat completions have them",
};

const FORMS: Group = {
  fields: {
    grammar: [],
    guided_json: [],
    json_schema: [],
    structured_outputs: [],
  },
  remedy: "replies are held to a form in chat completions, and in responses by text.format",
};

/** Of text completions, which have one name of the limit. */
const LIMITS: readonly Group[] = [{
  fields: {
    max_completion_tokens: sameAs("max_tokens", -1),
    max_output_tokens: sameAs("max_tokens", -1),
  },
  remedy: "send max_tokens",
}];

const RESPONSES: readonly Group[] = [
  TEMPLATE,
  FORMS,
  {
    fields: {
      guided_regex: [],
      guided_choice: [],
      guided_grammar: [],
      response_format: (value) => (value as { type?: unknown }).type === "text",
    },
    remedy: FORMS.remedy,
  },
  {
    fields: { n: [1], best_of: [1], echo: [false], ignore_eos: [false], min_tokens: notAbove0 },
    remedy: "only chat and text completions have it",
  },
  {
    fields: {
      max_tokens: sameAs("max_output_tokens", -1),
      max_completion_tokens: sameAs("max_output_tokens", -1),
    },
    remedy: "send max_output_tokens",
  },
];

/** By the kind of request. */
const GROUPS = {
  chat: [...SAMPLING, ...CHAT],
  completions: [...SAMPLING, BEST_OF, ...LIMITS, TEMPLATE, FORMS],
  responses: [...SAMPLING, ...RESPONSES],
};

/** A schema that refuses, before its own checks, other servers' fields that would change the reply. */
export function rejectForeignFields<T extends z.ZodType>(schema: T, kind: keyof typeof GROUPS) {
  return z.preprocess((body) => {
    if (typeof body === "object" && body !== null) assertNeutral(body as Body, GROUPS[kind]);
    return body;
  }, schema);
}

/** What a request's description says of these fields. */
export function describeForeignFields(kind: keyof typeof GROUPS): string {
  const names = GROUPS[kind].flatMap(({ fields }) => Object.keys(fields)).sort();
  return "Fields of other servers that would change the reply, and are not among these, are 400 " +
    `\`unsupported_value\` unless their value changes nothing: \`${names.join("`, `")}\`.`;
}

/** @throws InferenceError `unsupported_value`, naming the field */
function assertNeutral(body: Body, groups: readonly Group[]): void {
  for (const { fields, remedy } of groups) {
    for (const [param, neutral] of Object.entries(fields)) {
      const value = Object.hasOwn(body, param) ? body[param] : null;
      if (isEmpty(value)) continue;
      const taken = typeof neutral === "function" ? neutral(value, body) : neutral.includes(value);
      if (taken) continue;
      const shown = JSON.stringify(value).slice(0, 80);
      const message = `${param}: ${shown} is not supported; leave it out, and ${remedy}`;
      throw new InferenceError("unsupported_value", message, { param });
    }
  }
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** Takes a list that has the same strings as another field. */
function sameList(field: string): Neutral {
  return (value, body) => JSON.stringify([value].flat()) === JSON.stringify([body[field]].flat());
}

/** A template's variables say nothing here, but for one that asks for reasoning. */
function withoutThinking(value: unknown): boolean {
  return typeof value === "object" && value !== null &&
    Object.entries(value).every(([name, wanted]) =>
      ["enable_thinking", "thinking"].includes(name) && wanted === false
    );
}
