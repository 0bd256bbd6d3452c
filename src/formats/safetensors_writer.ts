/**
 * Writes a safetensors file of any size and dtype incrementally. The header is first in the file but
 * written last, because the metadata can depend on the tensors, such as quantization errors.
 */

import type { ByteSink } from "./byte_sink.ts";
import type { NewTensor } from "./new_tensor.ts";
import {
  encodeHead,
  type PlacedTensor,
  placeTensors,
  type SafetensorsMetadata,
} from "./safetensors_header.ts";

/** A file being written; complete once {@linkcode SafetensorsWriter.finish} has resolved. */
export class SafetensorsWriter {
  /** Size of the whole file in bytes. */
  readonly byteLength: number;
  readonly #sink: ByteSink;
  readonly #headerLength: number;
  readonly #tensors: ReadonlyMap<string, PlacedTensor>;
  /** Bytes not yet written, by tensor. */
  readonly #missing: Map<string, number>;

  /**
   * @param tensors In file order.
   * @param options.reserve Metadata at least as long as that of `finish`; determines the size of the
   * header. Empty by default.
   */
  constructor(
    sink: ByteSink,
    tensors: readonly NewTensor[],
    { reserve = {} }: { reserve?: SafetensorsMetadata } = {},
  ) {
    const placed = placeTensors(tensors);
    this.#sink = sink;
    this.#headerLength = encodeHead(placed, reserve).length;
    this.#tensors = new Map(placed.map((tensor) => [tensor.name, tensor]));
    this.#missing = new Map(placed.map(({ name, byteLength }) => [name, byteLength]));
    this.byteLength = placed.reduce((sum, { byteLength }) => sum + byteLength, this.#headerLength);
  }

  /**
   * Writes a part of a tensor at `byteOffset` in row-major order, little-endian. Parts and tensors can
   * be written in any order, but each byte must be written once.
   */
  async write(name: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new Error(`Cannot write tensor "${name}": it is not in the list of tensors`);
    const { begin, byteLength } = tensor;
    const inside = Number.isSafeInteger(byteOffset) && byteOffset >= 0 &&
      byteOffset + bytes.length <= byteLength;
    if (!inside) {
      throw new Error(
        `Cannot write ${bytes.length} bytes at ${byteOffset} of tensor "${name}" of ${byteLength}`,
      );
    }
    await this.#sink.write(this.#headerLength + begin + byteOffset, bytes);
    this.#missing.set(name, this.#missing.get(name)! - bytes.length);
  }

  /**
   * Writes the header. Throws a plain error if any byte was not written exactly once, or if the
   * metadata exceeds the reserved length.
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
    await this.#sink.write(0, encodeHead(tensors, metadata, this.#headerLength));
  }
}
