/** Writes a quantized copy of a pulled model as another pulled model. */

import { join } from "node:path";
import type { Quant } from "../../quant/mod.ts";
import { writeConverted } from "./convert.ts";
import { type CachedModel, ModelCache } from "../../model_files/model_cache.ts";
import { findModel } from "../../model_files/find_model.ts";

/** The only file that the copy needs besides the weights. A converted file contains the rest. */
const VOCABULARY = "vocab.txt";

/**
 * @returns The quantized model. Its names are those of the original with a suffix such as `-int8`.
 */
export async function convertPulled(
  { name: originalName, folder: from, record }: CachedModel,
  { quant, onMessage, signal }: {
    quant: Quant;
    onMessage: (line: string) => void;
    signal: AbortSignal;
  },
): Promise<CachedModel> {
  const cache = new ModelCache();
  const suffix = `-${quant.replaceAll(/[^\w.]+/g, "-")}`;
  const name = originalName + suffix;
  const onWait = () => onMessage(`Another process is writing ${name}: waiting for it`);
  return await cache.withLock(name, async () => {
    const existing = await cache.get(name);
    if (existing?.record?.etag === record!.etag && existing.record.quant === quant) {
      onMessage(`${name} already exists: ${existing.folder}`);
      return existing;
    }
    const folder = await cache.createFolder(name);
    const { source } = await findModel({ model: from });
    const file = `${name}.safetensors`;
    const { bytes } = await writeConverted(source, join(folder, file), { quant, signal });
    if (record!.vocabulary) {
      await Deno.copyFile(join(from, VOCABULARY), join(folder, VOCABULARY));
    }
    await cache.record(name, {
      ...record!,
      file,
      parts: [],
      names: record!.names.map((name) => name + suffix),
      bytes,
      pulled: new Date().toISOString(),
      quant,
    });
    onMessage(`The original model remains; \`deno task rwkv rm ${originalName}\` removes it`);
    return (await cache.get(name))!;
  }, { onWait, signal });
}
