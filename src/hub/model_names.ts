/** Which names among the files of a folder or a repository are those of models. */

/** Endings of files with tensors. What is in a file, its content tells; these are worth a look. */
const ENDING = /\.(pth|pt|ckpt|bin|safetensors|st)$/;

/** An index of shards, and a shard. */
const INDEX = /\.(pth|pt|bin|safetensors|st)\.index\.json$/;
const SHARD = /-(\d{5})-of-(\d{5})\.\w+$/;

/** What training leaves beside a model: tensors as well, but no model's. */
const OTHER =
  /^(training_args|optimizer|scheduler|scaler|rng_state|random_states|adapter_model|tokenizer)(?![a-z])/;

/** Whether a file of this name can be a whole model, or the index of one. */
export function isModelName(name: string): boolean {
  return INDEX.test(name) || (ENDING.test(name) && shardOf(name) === null && !OTHER.test(name));
}

/** Whether a file of this name is an index of shards. */
export function isIndexName(name: string): boolean {
  return INDEX.test(name);
}

/** The place of a shard among the others; null for a file that is whole. */
export function shardOf(name: string): { part: number; of: number } | null {
  const found = ENDING.test(name) ? SHARD.exec(name) : null;
  const [part, of] = [Number(found?.[1]), Number(found?.[2])];
  return of > 1 ? { part, of } : null;
}

/** A model's name without its ending. */
export function modelStem(name: string): string {
  return name.replace(INDEX, "").replace(ENDING, "");
}

/**
 * Returns the model among the names of one folder: the only one, else the only one with the usual
 * name, `model.*`, else the only `pytorch_model.*`; null where none is alone in that.
 */
export function defaultModel(names: readonly string[]): string | null {
  const models = names.filter(isModelName);
  for (const usual of [/^/, /^model\./, /^pytorch_model\./]) {
    const found = models.filter((name) => usual.test(name));
    if (found.length === 1) return found[0];
    // Several with one usual name are no reason to take another.
    if (found.length > 1 && usual.source !== "^") return null;
  }
  return null;
}
