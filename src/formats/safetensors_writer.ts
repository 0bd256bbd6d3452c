/**
 * Writes a safetensors file piece by piece, of any size and dtype. Its head comes first in the file
 * and last in time: metadata may tell of what was met while the tensors were written.
 */

import type { ByteSink } from "./byte_sink.ts";
import type { NewTensor } from "./new_tensor.ts";
import {
  encodeHead,
  type PlacedTensor,
  placeTensors,
  type SafetensorsMetadata,
} from "./safetensors_header.ts";

/** A file is whole only once {@linkcode SafetensorsWriter.finish} has resolved. */
export class SafetensorsWriter {
  /** Bytes of the whole file. */
  readonly byteLength: number;
  readonly #sink: ByteSink;
  readonly #headLength: number;
  readonly #tensors: ReadonlyMap<string, PlacedTensor>;
  /** Bytes still to come, by tensor. */
  readonly #missing: Map<string, number>;

  /**
   * @param tensors In the order in which they will lie in the file.
   * @param options.reserve Metadata that takes as many bytes as that of `finish`, or more: room for
   * it is kept. None by default.
   */
  constructor(
    sink: ByteSink,
    tensors: readonly NewTensor[],
    { reserve = {} }: { reserve?: SafetensorsMetadata } = {},
  ) {
    const placed = placeTensors(tensors);
    this.#sink = sink;
    this.#headLength = encodeHead(placed, reserve).length;
    this.#tensors = new Map(placed.map((tensor) => [tensor.name, tensor]));
    this.#missing = new Map(placed.map(({ name, byteLength }) => [name, byteLength]));
    this.byteLength = placed.reduce((sum, { byteLength }) => sum + byteLength, this.#headLength);
  }

  /**
   * Writes a part of a tensor: `bytes` from `byteOffset` of its elements in row-major order,
   * little-endian. Parts and tensors may come in any order, but no byte twice.
   */
  async write(name: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`Cannot write tensor "${name}": it was not announced`);
    const { begin, byteLength } = tensor;
    const inside = Number.isSafeInteger(byteOffset) && byteOffset >= 0 &&
      byteOffset + bytes.length <= byteLength;
    if (!inside) {
      throw new Error(
        `Cannot write ${bytes.length} bytes at ${byteOffset} of tensor "${name}" of ${byteLength}`,
      );
    }
    await this.#sink.write(this.#headLength + begin + byteOffset, bytes);
    this.#missing.set(name, this.#missing.get(name)! - bytes.length);
  }

  /**
   * Writes the head. A plain error where a tensor's bytes are not all written, each once, or where
   * the metadata takes more room than was kept.
   */
  async finish(metadata: SafetensorsMetadata = {}): Promise<void> {
    for (const [name, missing] of this.#missing) {
      if (missing !== 0) {
        const { byteLength } = this.#tensors.get(name)!;
        throw new Error(
          `Cannot finish ${this.#sink.name}: ${byteLength - missing} bytes of tensor "${name}" ` +
            `of ${byteLength} were written`,
        );
      }
    }
    const tensors = [...this.#tensors.values()];
    await this.#sink.write(0, encodeHead(tensors, metadata, this.#headLength));
  }
}
