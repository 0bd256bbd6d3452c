/**
 * The settings of a worker: one table of flags, environment variables, defaults, ranges and help.
 * Parsing, `--help`, docs/configuration.md, the permissions in deno.json and the environment in
 * deploy/compose.yaml are generated from it (`deno task settings:write`).
 */

import { DEFAULT_TENANT } from "../core/tenant.ts";
import { MODEL_SIZES } from "../model/architectures/registry.ts";
import { QUANT_NAMES } from "../quant/mod.ts";
import { STATE_CODECS } from "../store/states/state_codec.ts";
import { type Flags, type FlagSpec, numberFlag } from "./flags.ts";

/** Groups of settings, in the order of the configuration page. */
export const SETTING_GROUPS = [
  "Model and device",
  "HTTP server",
  "Conversations and state store",
  "Scheduling",
  "API keys",
  "Limits for each tenant",
] as const;

/** A setting of a worker. */
export interface Setting extends FlagSpec {
  readonly group: (typeof SETTING_GROUPS)[number];
}

/** Seconds in a week. */
const WEEK = 7 * 24 * 3600;

/** Range of a count without an upper limit. */
const COUNT = { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true } as const;

/** All settings, by the names of their flags. */
export const SETTINGS = {
  model: {
    group: "Model and device",
    type: "string",
    placeholder: "PATH|NAME",
    env: "RWKV_MODEL",
    help: "a checkpoint or converted file, an index of shards, a folder, or a pulled model",
    defaultText: "the demo model",
  },
  shape: {
    group: "Model and device",
    type: "string",
    placeholder: MODEL_SIZES.join("|"),
    help: "random weights of a published size instead of a model, for benchmarks",
  },
  vocab: {
    group: "Model and device",
    type: "string",
    placeholder: "FILE",
    env: "RWKV_VOCAB",
    help: "vocabulary file, or bytes for one token per byte",
    defaultText: "the file beside the model",
  },
  device: {
    group: "Model and device",
    type: "string",
    placeholder: "auto|webgpu|cpu",
    env: "RWKV_DEVICE",
    help: "the engine; auto is WebGPU on a hardware adapter, else the CPU engine",
    defaultValue: "auto",
  },
  quant: {
    group: "Model and device",
    type: "string",
    placeholder: QUANT_NAMES.join("|"),
    env: "RWKV_QUANT",
    help:
      "weight type of matrices: float32, float16, 8 or 4 bits; with exceptions such as nf4,head=int8",
    defaultText: "the converted file's type, else f16",
  },
  "group-norm-eps": {
    group: "Model and device",
    type: "string",
    placeholder: "X",
    help: "epsilon of the group norm",
    defaultText: "the value in config.json, else 64e-5",
    range: { min: 1e-12, max: 1 },
  },
  pull: {
    group: "Model and device",
    type: "boolean",
    env: "RWKV_PULL",
    help: "download the model named by --model if it has not been pulled",
  },
  "no-tune": {
    group: "Model and device",
    type: "boolean",
    help: "use the built-in kernel sizes; neither tune nor read the cache in data/tuning",
  },
  host: {
    group: "HTTP server",
    type: "string",
    placeholder: "H",
    env: "HOST",
    help: "address to listen on; 0.0.0.0 accepts other machines and requires keys",
    defaultValue: "127.0.0.1",
    defaultText: "127.0.0.1, this machine only",
  },
  port: {
    group: "HTTP server",
    type: "string",
    placeholder: "N",
    env: "PORT",
    help: "port to listen on; 0 for any free port",
    defaultValue: 8000,
    range: { min: 0, max: 65535, integer: true },
  },
  origins: {
    group: "HTTP server",
    type: "string",
    placeholder: "LIST",
    env: "RWKV_ORIGINS",
    help:
      "allowed web origins (CORS), such as https://chat.example.com,app://obsidian.md; * for all",
    defaultText: "the worker's own page only",
  },
  grace: {
    group: "HTTP server",
    type: "string",
    placeholder: "S",
    env: "RWKV_GRACE",
    help: "seconds to wait for running requests when the worker stops",
    defaultValue: 8,
    range: { min: 0, max: 3600 },
  },
  kv: {
    group: "Conversations and state store",
    type: "string",
    placeholder: "PATH|URL",
    env: "RWKV_KV",
    help: "state store: an SQLite file, or the URL of a denokv server",
    defaultValue: "data/states.sqlite3",
  },
  "state-ttl": {
    group: "Conversations and state store",
    type: "string",
    placeholder: "S",
    env: "RWKV_STATE_TTL",
    help: "seconds until an unused state expires",
    defaultValue: WEEK,
    defaultText: `${WEEK} (7 days)`,
    range: { min: 60, max: 1e9 },
  },
  "state-cache": {
    group: "Conversations and state store",
    type: "string",
    placeholder: "MIB",
    env: "RWKV_STATE_CACHE",
    help: "memory for recently used states; 0 disables the cache",
    defaultValue: 256,
    range: { min: 0, max: 1e6 },
  },
  "state-codec": {
    group: "Conversations and state store",
    type: "string",
    placeholder: STATE_CODECS.join("|"),
    env: "RWKV_STATE_CODEC",
    help: "encoding of new states; every encoding can be read",
    defaultValue: "f16",
  },
  "no-prefix-index": {
    group: "Conversations and state store",
    type: "boolean",
    help: "disable prefix caching: do not look up states by history, nor store system prompts",
  },
  slots: {
    group: "Scheduling",
    type: "string",
    placeholder: "N",
    env: "RWKV_SLOTS",
    help: "replies generated in parallel",
    defaultValue: 32,
    defaultText: "32, or fewer if memory is insufficient",
    range: { min: 1, max: 1024, integer: true },
  },
  queue: {
    group: "Scheduling",
    type: "string",
    placeholder: "N",
    env: "RWKV_QUEUE",
    help: "maximum number of waiting requests; further requests get 503",
    defaultValue: 64,
    range: { min: 1, max: 1e6, integer: true },
  },
  "turn-seconds": {
    group: "Scheduling",
    type: "string",
    placeholder: "N",
    env: "RWKV_TURN_SECONDS",
    help: "maximum seconds per reply; a longer reply ends with finish_reason length",
    defaultValue: 600,
    range: { min: 1, max: 1e6 },
  },
  keys: {
    group: "API keys",
    type: "string",
    placeholder: "FILE",
    env: "RWKV_KEYS",
    help: "additional key file, as written by keys create --file",
  },
  open: {
    group: "API keys",
    type: "boolean",
    env: "RWKV_OPEN",
    help: "accept requests without a key from any machine while no keys exist",
  },
  "turns-per-key": {
    group: "Limits for each tenant",
    type: "string",
    placeholder: "N",
    env: "RWKV_TURNS_PER_KEY",
    help: "maximum number of a tenant's running and waiting requests; further requests get 429",
    defaultText: "limited by slots and queue only",
    range: { min: 1, max: 1e6, integer: true },
  },
  "requests-per-minute": {
    group: "Limits for each tenant",
    type: "string",
    placeholder: "N",
    env: "RWKV_REQUESTS_PER_MINUTE",
    help: "POST requests below /v1 per minute, over all workers; further requests get 429",
    defaultText: "unlimited",
    range: COUNT,
  },
  "tokens-per-minute": {
    group: "Limits for each tenant",
    type: "string",
    placeholder: "N",
    env: "RWKV_TOKENS_PER_MINUTE",
    help: "prompt and completion tokens per minute, over all workers; further requests get 429",
    defaultText: "unlimited",
    range: COUNT,
  },
  "max-prompt-tokens": {
    group: "Limits for each tenant",
    type: "string",
    placeholder: "N",
    env: "RWKV_MAX_PROMPT_TOKENS",
    help: "maximum prompt tokens of a request",
    defaultText: "32768",
    range: COUNT,
  },
  "states-per-tenant": {
    group: "Limits for each tenant",
    type: "string",
    placeholder: "N",
    env: "RWKV_STATES_PER_TENANT",
    help: "maximum number of stored states, and of conversations; further requests get 403",
    defaultText: "unlimited",
    range: COUNT,
  },
  "bytes-per-tenant": {
    group: "Limits for each tenant",
    type: "string",
    placeholder: "N",
    env: "RWKV_BYTES_PER_TENANT",
    help: "maximum bytes of stored states; further requests get 403",
    defaultText: "unlimited",
    range: COUNT,
  },
} as const satisfies Record<string, Setting>;

/** The names of all settings. */
export type SettingName = keyof typeof SETTINGS;

type Numeric = {
  [N in SettingName]: (typeof SETTINGS)[N] extends { range: unknown } ? N : never;
}[SettingName];

type NumberOf<N extends Numeric> = (typeof SETTINGS)[N] extends { defaultValue: number } ? number
  : number | undefined;

/**
 * Environment variables without a flag. Secrets have no flags, because every user of a machine can
 * read the arguments of a process.
 */
export const VARIABLES = {
  RWKV_API_KEYS: "comma-separated list of API keys, each as tenant:key",
  RWKV_METRICS_TOKEN: "bearer token for /metrics; required there if the worker has keys",
  RWKV_MASTER_KEY: "encrypts the state store: 32 bytes in base64; append older keys after commas",
  DENO_KV_ACCESS_TOKEN: "access token of a denokv server",
  RWKV_HOME: "folder of pulled models; the default is rwkv in the system's cache folder",
  HF_ENDPOINT: "URL of the model hub",
  HF_TOKEN: "token for private repositories of the model hub",
} as const;

/** Environment variables that commands other than `serve` read. */
export const CLI_VARIABLES = {
  RWKV_API_KEY: "API key that chat --url sends",
} as const;

/** Variables of the system that a worker reads. */
export const SYSTEM_VARIABLES = [
  "XDG_CACHE_HOME",
  "LOCALAPPDATA",
  "HOME",
  "TERM",
  "XDG_RUNTIME_DIR",
] as const;

/** Returns some of the settings as the flags of a command. */
export function settings<N extends SettingName>(
  ...names: readonly N[]
): Pick<typeof SETTINGS, N> {
  return Object.fromEntries(names.map((name) => [name, SETTINGS[name]])) as Pick<
    typeof SETTINGS,
    N
  >;
}

/**
 * Returns the number of a setting, or its default.
 *
 * @throws InferenceError `usage` with the flag, the value and the valid range.
 */
export function numberSetting<N extends Numeric>(flags: Flags, name: N): NumberOf<N> {
  const { range, defaultValue: fallback }: FlagSpec = SETTINGS[name];
  return (numberFlag(flags, name, range!) ?? fallback) as NumberOf<N>;
}

/** Settings of every command that opens a model. */
export const MODEL_FLAGS = settings("model", "shape", "vocab", "device", "quant", "group-norm-eps");

/** Setting of commands that can download the model named by `--model`. */
export const PULL_FLAG = settings("pull");

/** Setting of commands that use the tuning cache. */
export const TUNE_FLAG = settings("no-tune");

/** Setting of commands that open the state store. */
export const KV_FLAG = settings("kv");

/** Settings of every command that opens sessions. */
export const WORKER_FLAGS = {
  ...MODEL_FLAGS,
  ...PULL_FLAG,
  ...TUNE_FLAG,
  ...KV_FLAG,
  ...settings(
    "slots",
    "state-ttl",
    "state-cache",
    "state-codec",
    "no-prefix-index",
    "queue",
    "turn-seconds",
  ),
};

/** Settings of the limits per tenant. */
export const LIMIT_FLAGS = settings(
  "requests-per-minute",
  "tokens-per-minute",
  "max-prompt-tokens",
  "states-per-tenant",
  "bytes-per-tenant",
);

/** Settings of `serve`. */
export const SERVE_FLAGS = {
  ...WORKER_FLAGS,
  ...settings("host", "port", "origins", "grace", "keys", "open", "turns-per-key"),
  ...LIMIT_FLAGS,
};

/** Flag of commands that access the data of one tenant. */
export const TENANT_FLAG = {
  tenant: {
    type: "string",
    placeholder: "T",
    help: "tenant of the states",
    defaultValue: DEFAULT_TENANT,
  },
} as const satisfies Record<string, FlagSpec>;
