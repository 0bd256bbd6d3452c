/** Fields of other servers: accepted without effect, supported, or rejected by name. */

import assert from "node:assert/strict";
import { describeForeignFields } from "../../../routes/generation/foreign_fields.ts";
import { SAMPLING_PARAMETER_NAMES } from "../../../src/core/sampling_parameters.ts";
import { ids } from "../../session/fixtures.ts";
import { errorOf, testApp } from "../fixtures.ts";

const ROUTES = {
  "/v1/chat/completions": { messages: [{ role: "user", content: "hi" }] },
  "/v1/completions": { prompt: "hi" },
  "/v1/responses": { input: "hi" },
};
const [CHAT, TEXT, RESPONSES] = Object.keys(ROUTES);

/** Values that would change the reply, on every route. */
const REJECTED: Record<string, unknown> = {
  stop_token_ids: [261],
  prompt_logprobs: 1,
  use_beam_search: true,
  num_beams: 4,
  length_penalty: 0.5,
  bad_words: ["x"],
  allowed_token_ids: [1, 2],
  include_stop_str_in_output: true,
  skip_special_tokens: false,
  truncate_prompt_tokens: 5,
  typical_p: 0.5,
  tfs_z: 0.5,
  top_a: 0.2,
  mirostat: 2,
  mirostat_mode: 1,
  dry_multiplier: 0.8,
  xtc_probability: 0.5,
  dynatemp_range: 0.5,
  top_n_sigma: 1,
  repeat_penalty: 1.3,
  rep_pen: 1.3,
  samplers: ["top_k"],
  n_predict: 3,
  max_new_tokens: 3,
  n_probs: 3,
  no_repeat_ngram_size: 3,
  do_sample: false,
  guidance_scale: 2,
  banned_strings: ["x"],
  ban_eos_token: true,
  min_length: 4,
  lora: [{ id: 0, scale: 1 }],
  return_token_ids: true,
  grammar_string: 'root ::= "a"',
  best_of: 2,
  sampler_seed: 5,
};

/** Values that are rejected on single routes. */
const REJECTED_ON: Record<string, Record<string, unknown>> = {
  [CHAT]: {
    echo: true,
    chat_template: "{{ x }}",
    chat_template_kwargs: { enable_thinking: true },
    documents: [{ text: "a" }],
    web_search_options: {},
    max_output_tokens: 5,
    add_generation_prompt: false,
    min_tokens: 5,
  },
  [TEXT]: {
    echo: true,
    suffix: "x",
    max_completion_tokens: 5,
    response_format: { type: "json_object" },
    continue_final_message: true,
    add_generation_prompt: false,
    guided_json: { type: "object" },
    json_schema: { type: "object" },
    grammar: 'root ::= "a"',
    structured_outputs: { choice: ["a"] },
    min_tokens: 5,
  },
  [RESPONSES]: {
    n: 2,
    ignore_eos: true,
    min_tokens: 5,
    continue_final_message: true,
    response_format: { type: "json_object" },
    guided_choice: ["a"],
    max_tokens: 5,
  },
};

/** Values without effect that clients send by default. */
const NEUTRAL = {
  stop_token_ids: [],
  prompt_logprobs: null,
  use_beam_search: false,
  length_penalty: 1,
  bad_words: [],
  allowed_token_ids: null,
  include_stop_str_in_output: false,
  skip_special_tokens: true,
  spaces_between_special_tokens: true,
  truncate_prompt_tokens: null,
  ignore_eos: false,
  min_tokens: 0,
  typical_p: 1,
  typical: 1,
  tfs: 1,
  tfs_z: 1,
  top_a: 0,
  mirostat: 0,
  mirostat_mode: 0,
  mirostat_tau: 5,
  mirostat_eta: 0.1,
  dry_multiplier: 0,
  dry_base: 1.75,
  dry_allowed_length: 2,
  dry_sequence_breakers: ["\n"],
  xtc_probability: 0,
  xtc_threshold: 0.1,
  dynatemp_range: 0,
  dynatemp_exponent: 1,
  nsigma: 0,
  top_n_sigma: -1,
  adaptive_target: -0.01,
  repeat_penalty: 1,
  rep_pen: 1,
  repeat_last_n: 64,
  rep_pen_range: 2048,
  samplers: [],
  n_predict: -1,
  n_probs: 0,
  custom_token_bans: "",
  banned_strings: [],
  ban_eos_token: false,
  guidance_scale: 1,
  negative_prompt: "",
  grammar_string: "",
  echo: false,
  best_of: 1,
  cache_prompt: true,
  add_generation_prompt: true,
  continue_final_message: false,
  chat_template_kwargs: { enable_thinking: false },
};

type App = ReturnType<typeof testApp>;

async function ask({ app }: App, path: string, body: object): Promise<Response> {
  return await app.request(path, { method: "POST", body: JSON.stringify(body) });
}

for (const [path, plain] of Object.entries(ROUTES)) {
  Deno.test(`${path}: fields that would change the reply are rejected by name`, async () => {
    const it = testApp();
    for (const [param, value] of Object.entries({ ...REJECTED, ...REJECTED_ON[path] })) {
      for (const stream of [false, true]) {
        const pending = ask(it, path, { ...plain, stream, [param]: value });
        const error = await errorOf(pending, 400, "unsupported_value");
        assert.equal(error.param, param);
        assert.ok(error.message.startsWith(`${param}: `), error.message);
      }
    }
    assert.equal(it.runner.works.length, 0);
  });

  Deno.test(`${path}: values without effect are accepted`, async () => {
    const it = testApp();
    await (await ask(it, path, { ...plain, seed: 1 })).text();
    const response = await ask(it, path, { ...NEUTRAL, ...plain, seed: 1 });
    assert.equal(response.status, 200, await response.text());
    const [{ signal: _, ...one }, { signal: __, ...two }] = it.runner.works;
    assert.deepEqual(two, one);
  });

  Deno.test(`${path}: the document lists the rejected fields`, async () => {
    const document = await (await testApp().app.request("/openapi.json")).json();
    const { description, requestBody } = document.paths[path].post;
    const { $ref } = requestBody.content["application/json"].schema;
    const { properties } = document.components.schemas[$ref.split("/").at(-1)];
    for (const param of Object.keys({ ...REJECTED, ...REJECTED_ON[path] })) {
      assert.ok(param in properties || description.includes(`\`${param}\``), param);
    }
  });
}

Deno.test("equivalent fields of other servers are accepted with the same value", async () => {
  const it = testApp();
  const response = await ask(it, TEXT, {
    prompt: "hi",
    max_tokens: 3,
    n_predict: 3,
    max_new_tokens: 3,
    repetition_penalty: 1.2,
    rep_pen: 1.2,
    repeat_penalty: 1.2,
    rep_pen_range: 0,
    stop: ["x"],
    stopping_strings: ["x"],
    logprobs: 2,
    n_probs: 2,
    n: 2,
    best_of: 2,
    seed: 4,
    sampler_seed: 4,
    response_format: { type: "text" },
    guided_choice: [],
  });
  assert.equal(response.status, 200, await response.text());
  const [{ maxTokens, sampling }] = it.runner.works;
  assert.deepEqual([maxTokens, sampling.repetitionPenalty], [3, 1.2]);
  const near = { prompt: "hi", repetition_penalty: 1.2, repeat_last_n: 64 };
  assert.equal(
    (await errorOf(ask(it, TEXT, near), 400, "unsupported_value")).param,
    "repeat_last_n",
  );
});

Deno.test("ignore_eos generates max_tokens tokens", async () => {
  const script = ids(" a\n\nb", 0, ...ids("c"));
  for (const path of [CHAT, TEXT]) {
    const it = testApp({ script });
    const body = { ...ROUTES[path as "/v1/completions"], max_tokens: 6, ignore_eos: true };
    for (const min_tokens of [undefined, 6]) {
      const answer = await (await ask(it, path, { ...body, min_tokens })).json();
      assert.equal(answer.usage.completion_tokens, 6);
      assert.equal(answer.choices[0].finish_reason, "length");
      const { text, message } = answer.choices[0];
      assert.equal((text ?? message.content).trim(), "a\n\nbc");
    }
    for (const more of [{ min_tokens: 7 }, { min_tokens: 3, stop: "x" }]) {
      const error = await errorOf(ask(it, path, { ...body, ...more }), 400, "unsupported_value");
      assert.equal(error.param, "min_tokens");
    }
  }
});

Deno.test("a final assistant message is continued, and the response has the continuation", async () => {
  const begun = [{ role: "user", content: "hi" }, { role: "assistant", content: "It is" }];
  const read = ids("User: hi\n\nAssistant: It is");
  for (
    const more of [
      {},
      { continue_final_message: true },
      { continue_final_message: true, add_generation_prompt: false },
      { add_generation_prompt: false },
    ]
  ) {
    const it = testApp({ script: ids(" so\n\n") });
    const answer = await (await ask(it, CHAT, { messages: begun, ...more })).json();
    assert.equal(answer.choices[0].message.content, " so");
    assert.deepEqual(it.runner.works[0].tokens, read);
    const { transcript } = await (await it.app.request(`/v1/states/${answer.state_id}`)).json();
    assert.deepEqual(transcript.at(-1), { role: "assistant", content: "It is so" });
  }
  for (const more of [{ continue_final_message: false }, { add_generation_prompt: true }]) {
    const it = testApp({ script: ids(" so\n\n") });
    const answer = await (await ask(it, CHAT, { messages: begun, ...more })).json();
    assert.equal(answer.choices[0].message.content, "so");
    assert.deepEqual(it.runner.works[0].tokens, [...read, ...ids("\n\nAssistant:")]);
  }
  const it = testApp();
  for (
    const [body, param] of [
      [{ messages: begun.slice(0, 1), continue_final_message: true }, "continue_final_message"],
      [
        { messages: begun, continue_final_message: true, add_generation_prompt: true },
        "add_generation_prompt",
      ],
      [{ messages: begun, response_format: { type: "json_object" } }, "response_format"],
    ] as const
  ) assert.equal((await errorOf(ask(it, CHAT, body), 400, "invalid_value")).param, param);
});

Deno.test("a state with a client-started reply can be exported and imported", async () => {
  const it = testApp({ script: ids(" so\n\n") });
  const messages = [{ role: "user", content: "hi" }, { role: "assistant", content: "It is\n" }];
  const answer = await (await ask(it, CHAT, { messages, max_tokens: 1 })).json();
  const file = await (await it.app.request(`/v1/states/${answer.state_id}/content`)).arrayBuffer();
  const imported = await it.app.request("/v1/states", { method: "POST", body: file });
  assert.equal(imported.status, 201, await imported.text());
});

Deno.test("no sampling parameter of this server is a foreign field", () => {
  for (const kind of ["chat", "completions", "responses"] as const) {
    const names = new Set(describeForeignFields(kind).match(/(?<=`)\w+(?=`)/g));
    assert.deepEqual(SAMPLING_PARAMETER_NAMES.filter((name) => names.has(name)), []);
  }
});
