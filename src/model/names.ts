/**
 * Tensor names. Everything in the project uses the published ones (`blocks.0.att.key.weight`);
 * files with those of Hugging Face's port are read through this table.
 */

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

/** The published name of a tensor. */
export function publishedName(name: string): string {
  return PARTS.reduce((n, [pattern, replacement]) => n.replace(pattern, replacement), name);
}
