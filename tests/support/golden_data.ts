/** Golden data: checkpoints with logits and states from an independent float64 implementation. */

import { openFile } from "../../src/model_files/file_source.ts";
import { openCheckpoint } from "../../src/formats/checkpoint.ts";

/** Folder of the golden files, with a trailing slash. */
export const GOLDEN = new URL("../golden/", import.meta.url).pathname;

export interface Golden {
  tokens: number[];
  /** `[tokens, vocabulary]`. */
  logits: Float32Array;
  /** State after all tokens. */
  state: Float32Array;
}

export async function readGolden(name: string): Promise<Golden> {
  const file = await openCheckpoint(await openFile(`${GOLDEN}${name}/expected.safetensors`));
  const bytes = await file.readRaw("tokens", 0, file.tensors.get("tokens")!.byteLength);
  const tokens = [...new Int32Array(bytes.slice().buffer)];
  const [logits, state] = [await file.read("logits"), await file.read("state")];
  await file.close();
  return { tokens, logits, state };
}
