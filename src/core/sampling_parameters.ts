/**
 * The numeric sampling parameters: one table of names, ranges, defaults and help. It generates the
 * API's schemas, the sampler's checks, the command line's flags and the chat page's settings.
 */

/** The values of the numeric sampling parameters. */
export interface SamplingValues {
  /** Divides the logits before softmax; 0 selects the most probable token. */
  temperature: number;
  /** Nucleus: keeps the most probable tokens up to this cumulative probability; 1 keeps all. */
  topP: number;
  /** Keeps this many of the most probable tokens; 0 keeps all. */
  topK: number;
  /** Keeps tokens with at least this fraction of the highest probability; 0 keeps all. */
  minP?: number;
  /** Divides positive and multiplies negative logits of tokens that have occurred; 1 for none. */
  repetitionPenalty?: number;
  /** Subtracted once from the logit of every token that has occurred. */
  presencePenalty: number;
  /** Subtracted from a token's logit once for each occurrence. */
  frequencyPenalty: number;
  /** Factor applied to all counts after each sampled token; 1 gives OpenAI's semantics. */
  penaltyDecay: number;
}

/** A numeric sampling parameter. */
export interface SamplingParameter {
  /** Property name in `SamplingParams`. */
  readonly key: keyof SamplingValues;
  /** The range that the sampler accepts. */
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
  /** The neutral value, which keeps the model's own distribution; also the API's default. */
  readonly defaultValue: number;
  /** The range that the API accepts, if it differs. */
  readonly api?: { readonly min?: number; readonly max?: number };
  /** Another API value that means `defaultValue`. */
  readonly disabledBy?: number;
  /** If true, the GPU sampler does not support it, and values other than the default use the CPU. */
  readonly cpuOnly?: true;
  /** Describes the parameter in the API, without its default. */
  readonly description: string;
  readonly example: number;
  /** The flag of commands that sample, if there is one. */
  readonly flag?: {
    readonly placeholder: string;
    readonly help: string;
    readonly defaultValue: number;
  };
  /** The field in the chat page's settings, if there is one. */
  readonly page?: {
    readonly label: string;
    readonly hint: string;
    /** The value that the page sends unless the user changes it. */
    readonly initial?: number;
  };
}

/** All numeric parameters, by their names in the API. */
export const SAMPLING_PARAMETERS = {
  temperature: {
    key: "temperature",
    min: 0,
    max: 5,
    defaultValue: 1,
    api: { max: 2 },
    description: "Sampling temperature. 0 always selects the most probable token.",
    example: 0.8,
    flag: { placeholder: "T", help: "0 always selects the most probable token", defaultValue: 1 },
    page: { label: "Temperature", hint: "0 to 2; 0 is greedy", initial: 1 },
  },
  top_p: {
    key: "topP",
    min: 0,
    max: 1,
    defaultValue: 1,
    description:
      "Nucleus sampling: keeps the most probable tokens whose probabilities add up to this value.",
    example: 0.9,
    flag: {
      placeholder: "P",
      help: "sample from the most probable tokens whose probabilities add up to P",
      defaultValue: 0.5,
    },
    // Small models lose coherence when improbable tokens are sampled.
    page: { label: "Top p", hint: "0 to 1; lower is safer", initial: 0.5 },
  },
  top_k: {
    key: "topK",
    min: 0,
    max: Infinity,
    integer: true,
    defaultValue: 0,
    api: { min: -1 },
    disabledBy: -1,
    description: "Keeps this many of the most probable tokens. 0 and -1 keep all of them.",
    example: 40,
    page: { label: "Top k", hint: "0 keeps all tokens" },
  },
  min_p: {
    key: "minP",
    min: 0,
    max: 1,
    defaultValue: 0,
    cpuOnly: true,
    description: "Keeps tokens whose probability is at least this fraction of the highest one.",
    example: 0.05,
  },
  repetition_penalty: {
    key: "repetitionPenalty",
    min: 0.1,
    max: 10,
    defaultValue: 1,
    cpuOnly: true,
    api: { min: 0 },
    disabledBy: 0,
    description: "Divides the positive logits, and multiplies the negative logits, of tokens " +
      "sampled earlier in the conversation. From 0.1; 1 and 0 disable it.",
    example: 1.1,
    page: { label: "Repetition penalty", hint: "0.1 to 10; 1 is none" },
  },
  presence_penalty: {
    key: "presencePenalty",
    min: -2,
    max: 2,
    defaultValue: 0,
    description:
      "Subtracted once from the logits of tokens sampled earlier in the whole conversation.",
    example: 0.3,
    page: { label: "Presence penalty", hint: "−2 to 2" },
  },
  frequency_penalty: {
    key: "frequencyPenalty",
    min: -2,
    max: 2,
    defaultValue: 0,
    description:
      "Subtracted from a token's logit for each time it was sampled in the whole conversation.",
    example: 0.3,
    page: { label: "Frequency penalty", hint: "−2 to 2" },
  },
  penalty_decay: {
    key: "penaltyDecay",
    min: 0,
    max: 1,
    defaultValue: 1,
    description: "Multiplies the token counts of the penalties after each token.",
    example: 0.996,
  },
} as const satisfies Record<string, SamplingParameter>;

/** The API's names of the parameters. */
export type SamplingParameterName = keyof typeof SAMPLING_PARAMETERS;

/** The API's names of the parameters, in the order of the table. */
export const SAMPLING_PARAMETER_NAMES = Object.keys(
  SAMPLING_PARAMETERS,
) as readonly SamplingParameterName[];

/** The default of every numeric parameter. */
export const DEFAULT_SAMPLING_VALUES = Object.fromEntries(
  Object.values(SAMPLING_PARAMETERS).map(({ key, defaultValue }) => [key, defaultValue]),
) as Required<SamplingValues>;

/** The parameters that the GPU sampler does not support. */
export const CPU_ONLY_PARAMETERS = SAMPLING_PARAMETER_NAMES.filter((name) => {
  const { cpuOnly }: SamplingParameter = SAMPLING_PARAMETERS[name];
  return cpuOnly;
});

/** Returns whether a parameter has a value that only the CPU sampler implements. */
export function hasCpuOnlyValue(values: SamplingValues): boolean {
  return CPU_ONLY_PARAMETERS.some((name) => {
    const { key, defaultValue } = SAMPLING_PARAMETERS[name];
    return (values[key] ?? defaultValue) !== defaultValue;
  });
}
