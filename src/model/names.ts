/**
 * Tensor names. Everything in the project uses the published ones (`blocks.0.att.key.weight`); files
 * with those of Hugging Face's port, or with prefixes that training tools add, are read through this
 * table.
 */

import { invalidCheckpoint } from "../formats/byte_source.ts";

const PARTS: [RegExp, string][] = [
  [/^(?:rwkv|model)\./, ""],
  [/^embeddings\.weight$/, "emb.weight"],
  [/\.pre_ln\./, ".ln0."],
  [/\.attention\./, ".att."],
  [/\.feed_forward\./, ".ffn."],
  [/\.time_mix_key$/, ".time_mix_k"],
  [/\.time_mix_value$/, ".time_mix_v"],
  [/\.time_mix_receptance$/, ".time_mix_r"],
  [/\.time_mix_gate$/, ".time_mix_g"],
];

/** Wrappers of torch and Lightning, which put their own name before or into a module's. */
const WRAPPERS =
  /(?<=^|\.)(?:_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/** The published name of a tensor. */
export function publishedName(name: string): string {
  return PARTS.reduce((n, [pattern, replacement]) => n.replace(pattern, replacement), name);
}

/**
 * Returns the file's names by published name, in the file's order. A prefix of all names, such as
 * `module.` or `base_model.model.`, is taken off; names without it stay as they are.
 *
 * @throws InferenceError `invalid_checkpoint` for a file with several models, or with two tensors of
 * one published name: which of them is meant would be a guess.
 */
export function publishedNames(stored: Iterable<string>, file: string): Map<string, string> {
  const plain = new Map([...stored].map((name) => [name, name.replace(WRAPPERS, "")]));
  const prefix = modelPrefix([...new Set(plain.values())], file);
  const names = new Map<string, string>();
  for (const [name, unwrapped] of plain) {
    const published = unwrapped.startsWith(prefix)
      ? publishedName(unwrapped.slice(prefix.length))
      : unwrapped;
    const other = names.get(published);
    if (other !== undefined) {
      throw invalidCheckpoint(
        file,
        `tensors "${other}" and "${name}" are both "${published}": save the file with one of them`,
      );
    }
    names.set(published, name);
  }
  return names;
}

/** What comes before `emb.weight` and `head.weight` alike; the port's `rwkv.` is no part of it. */
function modelPrefix(names: readonly string[], file: string): string {
  const stems = stemsOf(names, /(?:emb|embeddings)\.weight$/).filter((stem) =>
    names.some((name) => name.startsWith(`${stem}blocks.`))
  );
  if (stems.length > 1) {
    const shown = stems.map((stem) => `"${stem}"`).join(" and ");
    const kept = JSON.stringify(stems.find((stem) => stem !== ""));
    throw invalidCheckpoint(
      file,
      `it holds ${stems.length} models, with names that begin with ${shown}: save one of them ` +
        `alone, as {k: v for k, v in state_dict.items() if k.startswith(${kept})}`,
    );
  }
  const [stem = ""] = stems;
  const heads = stemsOf(names, /head\.weight$/).map((head) => commonSegments(stem, head));
  if (heads.length === 0) return stem;
  return heads.reduce((longest, head) => head.length > longest.length ? head : longest);
}

/** What comes before the pattern in the names that end with it, at the start of a segment. */
function stemsOf(names: readonly string[], ending: RegExp): string[] {
  const stems = names.flatMap((name) => {
    const at = name.search(ending);
    return at === 0 || name[at - 1] === "." ? [name.slice(0, at)] : [];
  });
  return [...new Set(stems)];
}

/** The segments, each with its dot, with which both begin. */
function commonSegments(a: string, b: string): string {
  const [left, right] = [a, b].map((stem) => stem.split(/(?<=\.)/));
  const differs = left.findIndex((segment, i) => segment !== right[i]);
  return (differs < 0 ? left : left.slice(0, differs)).join("");
}
