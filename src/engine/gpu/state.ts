/**
 * The recurrent states of all slots in device memory.
 *
 * Token shifts are stored by site (two per layer), `[sites][slots][C]`, in two copies: a step reads
 * one and writes the other, and then copies the second to the first. WKV states are stored by
 * layer, `[slots][H][N][N]`, and updated in place.
 */

import { type BoundBuffer, type StagingBuffer, upload } from "../../gpu/mod.ts";
import type { Dimensions } from "../../model/dimensions.ts";
import { stateLength } from "../../model/architectures/registry.ts";
import type { StateBuffers } from "./buffers.ts";

export class GpuState {
  readonly #device: GPUDevice;
  readonly #dimensions: Dimensions;
  readonly #buffers: StateBuffers;

  constructor(device: GPUDevice, dimensions: Dimensions, buffers: StateBuffers) {
    this.#device = device;
    this.#dimensions = dimensions;
    this.#buffers = buffers;
  }

  /** Returns the next staging buffer and the bytes that `copyToStaging` writes to it. */
  nextStaging(): { staging: StagingBuffer; bytes: number } {
    return { staging: this.#buffers.staging.next(), bytes: stateLength(this.#dimensions) * 4 };
  }

  /** Encodes a copy of a slot's state, in the layout of `Engine`, to a staging buffer. */
  copyToStaging(encoder: GPUCommandEncoder, slot: number, staging: StagingBuffer): void {
    this.#gather(encoder, slot, staging.buffer);
  }

  /** Encodes a copy between slots, via scratch space: WebGPU forbids copies within a buffer. */
  copySlot(encoder: GPUCommandEncoder, from: number, to: number): void {
    const { copyScratch } = this.#buffers;
    this.#gather(encoder, from, copyScratch);
    let at = 0;
    for (const { buffer, offset, bytes } of this.#parts(to)) {
      encoder.copyBufferToBuffer(copyScratch, at, buffer, offset, bytes);
      at += bytes;
    }
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

  #gather(encoder: GPUCommandEncoder, slot: number, into: GPUBuffer): void {
    let at = 0;
    for (const { buffer, offset, bytes } of this.#parts(slot)) {
      encoder.copyBufferToBuffer(buffer, offset, into, at, bytes);
      at += bytes;
    }
  }

  /** Yields the ranges of a slot's state, in the state's order. */
  *#parts(slot: number): Generator<{ buffer: GPUBuffer; offset: number; bytes: number }> {
    const { layers, width, headSize } = this.#dimensions;
    const { shiftIn, siteStride, wkv } = this.#buffers;
    const shift = (site: number) => ({
      buffer: shiftIn,
      offset: (site * siteStride + slot * width) * 4,
      bytes: width * 4,
    });
    const bytes = width * headSize * 4;
    for (let layer = 0; layer < layers; layer++) {
      yield shift(2 * layer);
      yield { buffer: wkv[layer], offset: slot * bytes, bytes };
      yield shift(2 * layer + 1);
    }
  }
}

/** Returns the binding of one site of a shift buffer. */
export function shiftSiteBinding(
  buffer: GPUBuffer,
  site: number,
  { siteStride }: StateBuffers,
): BoundBuffer {
  return { buffer, offset: site * siteStride * 4, size: siteStride * 4 };
}
