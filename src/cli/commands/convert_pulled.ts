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
  { name: original, folder: from, record }: CachedModel,
  { quant, say, signal }: { quant: Quant; say: (line: string) => void; signal: AbortSignal },
): Promise<CachedModel> {
  const cache = new ModelCache();
  const ending = `-${quant.replaceAll(/[^\w.]+/g, "-")}`;
  const name = original + ending;
  const onWait = () => say(`Another process is writing ${name}: waiting for it`);
  return await cache.withLock(name, async () => {
    const there = await cache.get(name);
    if (there?.record?.etag === record!.etag && there.record.quant === quant) {
      say(`${name} already exists: ${there.folder}`);
      return there;
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
      names: record!.names.map((name) => name + ending),
      bytes,
      pulled: new Date().toISOString(),
      quant,
    });
    say(`The original remains; \`deno task rwkv rm ${original}\` removes it`);
    return (await cache.get(name))!;
  }, { onWait, signal });
}
