/**
 * Tensor names. The project uses the published names (`blocks.0.att.key.weight`). This file maps the
 * names of Hugging Face's port and the prefixes of training tools to them.
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

/** Segments that wrappers of torch and Lightning insert into module names. */
const WRAPPERS =
  /(?<=^|\.)(?:_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/** Returns the published name of a tensor. */
export function publishedName(name: string): string {
  return PARTS.reduce((n, [pattern, replacement]) => n.replace(pattern, replacement), name);
}

/**
 * Returns the names in the file by published name, in file order. A common prefix such as `module.` or
 * `base_model.model.` is removed; names without it are unchanged.
 *
 * @throws InferenceError `invalid_checkpoint` for a file with several models, or with two tensors of the
 * same published name, because the choice would be ambiguous.
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
        `tensors "${other}" and "${name}" both map to "${published}": save the file with one of them`,
      );
    }
    names.set(published, name);
  }
  return names;
}

/** Returns the common prefix of `emb.weight` and `head.weight`, without the port's `rwkv.`. */
function modelPrefix(names: readonly string[], file: string): string {
  const stems = stemsOf(names, /(?:emb|embeddings)\.weight$/).filter((stem) =>
    names.some((name) => name.startsWith(`${stem}blocks.`))
  );
  if (stems.length > 1) {
    const shown = stems.map((stem) => `"${stem}"`).join(" and ");
    const example = JSON.stringify(stems.find((stem) => stem !== ""));
    throw invalidCheckpoint(
      file,
      `it contains ${stems.length} models, with the name prefixes ${shown}: save one of them ` +
        `alone, as {k: v for k, v in state_dict.items() if k.startswith(${example})}`,
    );
  }
  const [stem = ""] = stems;
  const heads = stemsOf(names, /head\.weight$/).map((head) => commonSegments(stem, head));
  if (heads.length === 0) return stem;
  return heads.reduce((longest, head) => head.length > longest.length ? head : longest);
}

/** Returns the distinct prefixes of the names that end with the pattern at a segment boundary. */
function stemsOf(names: readonly string[], ending: RegExp): string[] {
  const stems = names.flatMap((name) => {
    const at = name.search(ending);
    return at === 0 || name[at - 1] === "." ? [name.slice(0, at)] : [];
  });
  return [...new Set(stems)];
}

/** Returns the common leading segments, with their dots. */
function commonSegments(a: string, b: string): string {
  const [left, right] = [a, b].map((stem) => stem.split(/(?<=\.)/));
  const differs = left.findIndex((segment, i) => segment !== right[i]);
  return (differs < 0 ? left : left.slice(0, differs)).join("");
}
