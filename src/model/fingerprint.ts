/**
 * A model's fingerprint: what says that a state belongs to it. A hash over the published names,
 * shapes and element types of all tensors and over samples of their bytes, so that it costs
 * milliseconds for a file of any size, and is the same for the same tensors under other names.
 */

import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Dimensions } from "./dimensions.ts";

/** Bytes hashed at the start and at the end of every tensor. */
const SAMPLE_BYTES = 4096;

/**
 * @param names Names in the file, by published name.
 * @returns `rwkv5.2-` and 24 hexadecimal digits of SHA-256.
 */
export async function fingerprint(
  checkpoint: Checkpoint,
  names: ReadonlyMap<string, string>,
  { version, groupNormEps }: Dimensions,
): Promise<string> {
  const parts: Uint8Array[] = [];
  const encoder = new TextEncoder();
  parts.push(encoder.encode(`rwkv${version} group_norm_eps ${groupNormEps}\n`));
  for (const published of [...names.keys()].sort()) {
    const name = names.get(published)!;
    const { dtype, shape, byteLength } = checkpoint.tensors.get(name)!;
    parts.push(encoder.encode(`${published} ${dtype} ${shape.join("x")}\n`));
    const sample = Math.min(SAMPLE_BYTES, byteLength);
    parts.push(await checkpoint.readRaw(name, 0, sample));
    parts.push(await checkpoint.readRaw(name, byteLength - sample, sample));
  }
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return `rwkv${version}-${digest.toHex().slice(0, 24)}`;
}
