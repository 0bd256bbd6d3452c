/**
 * Detects adapter tensors, which change what a model computes. No adapter is supported, so a file with
 * such tensors is rejected: without them, the logits would be those of a different model.
 */

import { InferenceError } from "../core/errors.ts";

interface Adapter {
  /** Matches published names. */
  pattern: RegExp;
  /** Description of such tensors, and the remedy. */
  problem: string;
}

const ADAPTERS: readonly Adapter[] = [
  {
    pattern:
      /\.lora_[A-Za-z]+|(?<!_lora)\.lora\.\d|\.(bone|disha|ia3_l|oft_[rR]|vera_lambda_\w+|hada_\w+|lokr_\w+)(\.|$)|\.(base_layer|modules_to_save|original_module)\.|(^|\.)prompt_encoder\./,
    problem:
      "part of an adapter (LoRA or similar) that is not merged into the model: merge it into " +
      "the base model, with PEFT's merge_and_unload() or RWKV-PEFT's merge script, and use the " +
      "merged file",
  },
  {
    pattern: /\.time_state$/,
    problem:
      "a tuned initial state, which this worker does not support: use the base model's file, " +
      "or save this one without its time_state tensors",
  },
  {
    pattern:
      /^(emb|head)\.bias$|^blocks\.\d+\.(att|ffn)\.(receptance|key|value|output|gate)\.bias$/,
    problem: "a bias of a matrix, which RWKV models do not have: use a checkpoint without biases",
  },
];

/**
 * Rejects checkpoints with adapter tensors.
 *
 * @param names Names in the file, by published name.
 * @throws InferenceError `invalid_checkpoint` naming the first tensor of an adapter.
 */
export function assertNoAdapters(names: ReadonlyMap<string, string>, file: string): void {
  for (const { pattern, problem } of ADAPTERS) {
    const found = [...names].flatMap(([name, stored]) => pattern.test(name) ? [stored] : []);
    if (found.length === 0) continue;
    const more = found.length > 1 ? ` (and ${found.length - 1} more like it)` : "";
    throw new InferenceError(
      "invalid_checkpoint",
      `Cannot load ${file}: its tensor "${found[0]}"${more} is ${problem}`,
      { param: file },
    );
  }
}
