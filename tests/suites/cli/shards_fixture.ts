/** Models in several files, as Hugging Face libraries save them. */

import { encodeSafetensors } from "../../../src/formats/safetensors.ts";
import { type PthTensor, writePth } from "../../formats/pth_fixture.ts";

/** File contents by name. */
export type Files = Record<string, string | Uint8Array<ArrayBuffer>>;

/** Splits tensors into `count` files with an index, like `save_pretrained`. */
export function shards(
  count: number,
  base: string,
  tensors: ReadonlyMap<string, PthTensor>,
): Files {
  const [stem, ending] = base.split(".");
  const files: Files = {};
  const weightMap: Record<string, string> = {};
  for (let part = 0; part < count; part++) {
    const own = new Map([...tensors].filter((_, i) => i % count === part));
    const number = (n: number) => `${n}`.padStart(5, "0");
    const name = `${stem}-${number(part + 1)}-of-${number(count)}.${ending}`;
    files[name] = ending === "bin" ? writePth(own) : encodeSafetensors(own);
    for (const tensor of own.keys()) weightMap[tensor] = name;
  }
  files[`${base}.index.json`] = JSON.stringify({
    metadata: { total_size: 1 },
    weight_map: weightMap,
  });
  return files;
}
