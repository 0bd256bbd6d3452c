/**
 * The recurrent states of all slots in device memory.
 *
 * Shifts lie by site (two a layer), `[sites][slots][C]`, in two copies: the one that a step reads
 * and the one that it leaves, made equal at the step's end. WKV states lie by layer,
 * `[slots][H][N][N]`, updated in place.
 */

import { roundUp } from "../../kernels/spec.ts";
import { type BoundBuffer, readFloats, stagingBuffer, storageBuffer, upload } from "../gpu/mod.ts";
import { type Dimensions, stateLength } from "../model/dimensions.ts";
import { shiftSites } from "../model/rwkv5.ts";

export class GpuState {
  /** Numbers between two sites. */
  readonly siteStride: number;
  readonly before: GPUBuffer;
  readonly after: GPUBuffer;
  /** By layer. */
  readonly wkv: readonly GPUBuffer[];
  readonly #device: GPUDevice;
  readonly #dimensions: Dimensions;
  readonly #staging: GPUBuffer;

  constructor(
    device: GPUDevice,
    { dimensions, slots }: { dimensions: Dimensions; slots: number },
  ) {
    const { layers, width, headSize } = dimensions;
    this.#device = device;
    this.#dimensions = dimensions;
    // Bindings of one site start at multiples of 256 bytes.
    this.siteStride = roundUp(slots * width, 64);
    const shiftBytes = shiftSites(dimensions) * this.siteStride * 4;
    this.before = storageBuffer(device, "shifts before", shiftBytes);
    this.after = storageBuffer(device, "shifts after", shiftBytes);
    this.wkv = Array.from(
      { length: layers },
      (_, layer) => storageBuffer(device, `wkv ${layer}`, slots * width * headSize * 4),
    );
    this.#staging = stagingBuffer(device, "state", stateLength(dimensions) * 4);
  }

  /** One site of a shift buffer, to bind. */
  site(buffer: GPUBuffer, site: number): BoundBuffer {
    return { buffer, offset: site * this.siteStride * 4, size: this.siteStride * 4 };
  }

  /** A copy of a slot's state, laid out as `Engine` tells. */
  read(slot: number): Promise<Float32Array> {
    const encoder = this.#device.createCommandEncoder({ label: "read state" });
    let to = 0;
    for (const { buffer, offset, bytes } of this.#parts(slot)) {
      encoder.copyBufferToBuffer(buffer, offset, this.#staging, to, bytes);
      to += bytes;
    }
    this.#device.queue.submit([encoder.finish()]);
    return readFloats(this.#staging, to / 4);
  }

  /** Replaces a slot's state; `null` is all zero. */
  write(slot: number, state: Float32Array | null): void {
    const data = new Float32Array(stateLength(this.#dimensions));
    if (state) data.set(state);
    let from = 0;
    for (const { buffer, offset, bytes } of this.#parts(slot)) {
      upload(this.#device, buffer, data.subarray(from / 4, (from + bytes) / 4), offset);
      from += bytes;
    }
  }

  /** Where the pieces of a slot's state lie, in the state's order. */
  *#parts(slot: number): Generator<{ buffer: GPUBuffer; offset: number; bytes: number }> {
    const { layers, width, headSize } = this.#dimensions;
    const shift = (site: number) => ({
      buffer: this.before,
      offset: (site * this.siteStride + slot * width) * 4,
      bytes: width * 4,
    });
    const bytes = width * headSize * 4;
    for (let layer = 0; layer < layers; layer++) {
      yield shift(2 * layer);
      yield { buffer: this.wkv[layer], offset: slot * bytes, bytes };
      yield shift(2 * layer + 1);
    }
  }
}
