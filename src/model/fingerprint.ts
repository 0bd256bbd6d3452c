/**
 * A model's fingerprint identifies the states that belong to it. It derives from a digest of the
 * checkpoint's tensors. A converted file stores the digest of its source, so states are portable
 * between weight types of one model.
 */

import { toHex } from "../core/hex.ts";
import { sha256 } from "../core/sha256.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { Dimensions } from "./dimensions.ts";

/** Bytes hashed at the start and at the end of every tensor. */
const SAMPLE_BYTES = 4096;

/**
 * Returns the hexadecimal SHA-256 of the published names, shapes and dtypes of all tensors and of
 * samples of their bytes. It takes milliseconds for a file of any size, and does not depend on the names
 * in the file.
 *
 * @param names Names in the file, by published name.
 */
export async function tensorDigest(
  checkpoint: Checkpoint,
  names: ReadonlyMap<string, string>,
): Promise<string> {
  const parts: Uint8Array[] = [];
  const encoder = new TextEncoder();
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
  return toHex(await sha256(all));
}

/** Returns a fingerprint such as `rwkv5.2-` and 24 hexadecimal digits, which includes the group norm epsilon. */
export async function fingerprint(
  digest: string,
  { version, groupNormEps }: Dimensions,
): Promise<string> {
  const text = `rwkv${version} group_norm_eps ${groupNormEps} ${digest}`;
  const hash = await sha256(new TextEncoder().encode(text));
  return `rwkv${version}-${toHex(hash).slice(0, 24)}`;
}
