/** Finds the state dict in a saved checkpoint, at the top level or under keys next to other data. */

import { invalidCheckpoint } from "./byte_source.ts";
import type { PickleValue } from "./pickle_value.ts";
import { TorchTensor } from "./torch_pickle.ts";

/** Maximum nesting depth of the search. */
const MAX_DEPTH = 4;

/** Keys of optimizer state, whose tensors are not a model's. */
const OPTIMIZER_KEY = /(^|_)(optim|optimizers?|schedulers?)(_|$)/i;

/** A dict with tensors, and its key path. */
interface Candidate {
  path: readonly string[];
  dict: ReadonlyMap<PickleValue, PickleValue>;
  tensors: Map<string, TorchTensor>;
}

/** A model's tensors by name, and the strings and numbers next to them. */
export interface StateDict {
  tensors: Map<string, TorchTensor>;
  metadata: Record<string, string>;
}

/**
 * Returns the only dict of tensors in a checkpoint, at any key path of limited depth.
 *
 * @throws InferenceError `invalid_checkpoint` if there is none, or several with different tensors, such
 * as a model and its moving average.
 */
export function findStateDict(value: PickleValue, file: string): StateDict {
  const found = tensorDicts(value);
  // Batch counters and similar values are tensors but not weights.
  const weights = found.filter(({ tensors }) =>
    [...tensors.keys()].some((name) => name.endsWith(".weight"))
  );
  const [first, ...others] = weights.length > 0 ? weights : found;
  if (!first) {
    throw invalidCheckpoint(
      file,
      "it contains no dict of tensors: save model.state_dict() with torch.save",
    );
  }
  const different = others.filter((other) => !haveSameTensors(first.tensors, other.tensors));
  if (different.length > 0) {
    const all = [first, ...different].map(expression);
    throw invalidCheckpoint(
      file,
      `it contains ${all.length} dicts of tensors, ${
        all.join(" and ")
      }: save one of them alone, as ` +
        `torch.save(${all.at(-1)}, "model.pth")`,
    );
  }
  const metadata: [string, string][] = [];
  for (const [key, item] of first.dict) {
    if (typeof key !== "string") continue;
    if (typeof item === "string" || typeof item === "number") metadata.push([key, `${item}`]);
  }
  return { tensors: first.tensors, metadata: Object.fromEntries(metadata) };
}

/** Returns all dicts with tensors, outermost first, each once. */
function tensorDicts(value: PickleValue): Candidate[] {
  const found: Candidate[] = [];
  const seen = new Set<PickleValue>();
  const queue: { path: readonly string[]; value: PickleValue }[] = [{ path: [], value }];
  for (const { path, value: dict } of queue) {
    if (!(dict instanceof Map) || seen.has(dict)) continue;
    seen.add(dict);
    const tensors = new Map<string, TorchTensor>();
    for (const [key, item] of dict) {
      if (typeof key !== "string") continue;
      if (item instanceof TorchTensor) tensors.set(key, item);
      else if (path.length < MAX_DEPTH && item instanceof Map && !OPTIMIZER_KEY.test(key)) {
        queue.push({ path: [...path, key], value: item });
      }
    }
    if (tensors.size > 0) found.push({ path, dict, tensors });
  }
  return found;
}

/** Returns whether both dicts have the same names for the same bytes, as when saved under two keys. */
function haveSameTensors(
  a: ReadonlyMap<string, TorchTensor>,
  b: ReadonlyMap<string, TorchTensor>,
): boolean {
  const place = ({ storage, view }: TorchTensor) =>
    [storage.key, storage.dtype, view.offset, view.shape, view.strides].join(" ");
  return a.size === b.size && [...a].every(([name, tensor]) => {
    const other = b.get(name);
    return other !== undefined && place(other) === place(tensor);
  });
}

/** Formats a key path as a Python expression, such as `checkpoint["state"]["model"]`. */
function expression({ path }: Candidate): string {
  return `checkpoint${path.map((key) => `[${JSON.stringify(key.slice(0, 80))}]`).join("")}`;
}
