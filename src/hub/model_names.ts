/** Recognizes the files of a folder or a repository that are models, by their names. */

/** The extensions of tensor files. A file's content decides its actual format. */
const EXTENSION = /\.(pth|pt|ckpt|bin|safetensors|st)$/;

/** The names of an index of shards and of a shard. */
const INDEX = /\.(pth|pt|bin|safetensors|st)\.index\.json$/;
const SHARD = /-(\d{5})-of-(\d{5})\.\w+$/;

/** Tensor files that training writes next to a model. */
const TRAINING_FILES =
  /^(training_args|optimizer|scheduler|scaler|rng_state|random_states|adapter_model|tokenizer)(?![a-z])/;

/** Returns whether a file of this name can be a complete model or the index of one. */
export function isModelName(name: string): boolean {
  return INDEX.test(name) ||
    (EXTENSION.test(name) && shardOf(name) === null && !TRAINING_FILES.test(name));
}

/** Returns whether a file of this name is an index of shards. */
export function isIndexName(name: string): boolean {
  return INDEX.test(name);
}

/** Returns the number of a shard and the number of shards; null if the file is not a shard. */
export function shardOf(name: string): { part: number; of: number } | null {
  const found = EXTENSION.test(name) ? SHARD.exec(name) : null;
  const [part, of] = [Number(found?.[1]), Number(found?.[2])];
  return of > 1 ? { part, of } : null;
}

/** Returns a model file's name without its extension. */
export function modelStem(name: string): string {
  return name.replace(INDEX, "").replace(EXTENSION, "");
}

/**
 * Returns the model among the names of one folder: the only model, otherwise the only
 * `model.*`, otherwise the only `pytorch_model.*`; null if the choice is ambiguous.
 */
export function defaultModel(names: readonly string[]): string | null {
  const models = names.filter(isModelName);
  for (const pattern of [/^/, /^model\./, /^pytorch_model\./]) {
    const found = models.filter((name) => pattern.test(name));
    if (found.length === 1) return found[0];
    // Several files with a preferred name are ambiguous; the next pattern must not decide.
    if (found.length > 1 && pattern.source !== "^") return null;
  }
  return null;
}
