/** Turns that sample on the device: what their slots need there, and what comes back of them. */

import { gatherLastToken } from "../../../kernels/gather_last_token.ts";
import { sample } from "../../../kernels/sample.ts";
import {
  BANNED_BIAS,
  FINISH,
  NO_TOKEN,
  SAMPLED_HEADER,
  SLOT,
  SLOT_WORDS,
  STOPS_STRIDE,
} from "../../../kernels/slot_layout.ts";
import type { StopSearch, TokenTable } from "../../core/sampling.ts";
import { advanceStopSearch } from "../../core/stop_search.ts";
import {
  type Dispatch,
  type OpenDevice,
  type Pipelines,
  type StagingBuffer,
  upload,
} from "../../gpu/mod.ts";
import type { GenerateResult, SamplingFault, SlotSampling } from "../engine.ts";
import type { EngineBuffers } from "./buffers.ts";
import {
  logitsStride,
  MAX_STEPS,
  SAMPLED_STRIDE,
  type SamplingBuffers,
  type SamplingSizes,
} from "./sampling_buffers.ts";

/** Sixteenths of a workgroup's threads: few where one core runs them all in turn. */
const LANES = { software: 1, gpu: 16 };

export class GpuSampling {
  readonly #device: GPUDevice;
  readonly #buffers: SamplingBuffers;
  readonly #vocabulary: number;
  /** Bias of a slot that has none but the bans. */
  readonly #bans: Float32Array<ArrayBuffer>;
  /** Slots whose bias on the device is another one. */
  readonly #biased = new Set<number>();
  readonly #tokens: TokenTable | undefined;
  readonly #feed: Dispatch;
  readonly #sample: Dispatch;

  private constructor(
    device: GPUDevice,
    { buffers, sizes, feed, sample }: {
      buffers: SamplingBuffers;
      sizes: SamplingSizes;
      feed: Dispatch;
      sample: Dispatch;
    },
  ) {
    this.#device = device;
    this.#buffers = buffers;
    this.#vocabulary = sizes.vocabulary;
    this.#tokens = sizes.tokenTable;
    this.#feed = feed;
    this.#sample = sample;
    this.#bans = new Float32Array(logitsStride(sizes)).fill(BANNED_BIAS, sizes.vocabulary);
    for (let id = 0; sizes.tokenTable && id < sizes.vocabulary; id++) {
      if (sizes.tokenTable.banned[id] !== 0) this.#bans[id] = BANNED_BIAS;
    }
    for (let slot = 0; slot < sizes.slots; slot++) this.#biased.add(slot);
    if (sizes.tokenTable) this.#uploadVocabulary(sizes.tokenTable);
  }

  /** Prepares the kernels. */
  static async build(
    { device, software }: Pick<OpenDevice, "device" | "software">,
    pipelines: Pipelines,
    { buffers, sizes }: { buffers: EngineBuffers; sizes: SamplingSizes },
  ): Promise<GpuSampling> {
    const { sampling, inputs, activations: { logits } } = buffers;
    const [slots, rows] = [{ buffer: sampling.slots }, { buffer: inputs.rows }];
    return new GpuSampling(device, {
      buffers: sampling,
      sizes,
      feed: await pipelines.prepare(gatherLastToken, null, {
        slots,
        rows,
        runs: { buffer: inputs.runs },
      }),
      sample: await pipelines.prepare(
        sample,
        {
          vocabulary: sizes.vocabulary,
          window: MAX_STEPS,
          lanes: software ? LANES.software : LANES.gpu,
        },
        {
          logits,
          adjustments: { buffer: sampling.adjustments },
          slots,
          stops: { buffer: sampling.stops },
          vocabulary: { buffer: sampling.vocabulary },
          rows,
          chosen: { buffer: inputs.outputRows },
          written: { buffer: sampling.sampled },
        },
      ),
    });
  }

  /** What comes before the layers, and what after the head. */
  get dispatches(): { before: Dispatch; after: Dispatch } {
    return { before: this.#feed, after: this.#sample };
  }

  /** Lets a slot sample from its next token on. */
  start(slot: number, sampling: SlotSampling): void {
    const { params, counts, stops } = sampling;
    const plane = this.#bans.byteLength;
    const biased = params.logitBias.size > 0;
    if (biased || this.#biased.has(slot)) {
      const bias = this.#bans.slice();
      for (const [id, value] of params.logitBias) bias[id] += value;
      upload(this.#device, this.#buffers.adjustments, bias, slot * 2 * plane);
      if (biased) this.#biased.add(slot);
      else this.#biased.delete(slot);
    }
    if (isCounting(params)) {
      const numbers = new Float32Array(this.#bans.length);
      for (const [id, count] of counts) if (id < this.#vocabulary) numbers[id] = count;
      upload(this.#device, this.#buffers.adjustments, numbers, (slot * 2 + 1) * plane);
    }
    const search = stops && this.#searched(stops, sampling.alreadySampled ?? []);
    if (search) {
      upload(this.#device, this.#buffers.stops, encodeStopMasks(search), slot * STOPS_STRIDE * 4);
    }
    const words = encodeSlot({ ...sampling, stops: search });
    upload(this.#device, this.#buffers.slots, words, slot * SLOT_WORDS * 4);
  }

  /** A search that has gone on over the bytes of `sampled`. */
  #searched(stops: StopSearch, sampled: readonly number[]): StopSearch {
    const search = { ...stops, bits: stops.prefixBits.slice() };
    if (this.#tokens) {
      const { bytes, offsets } = this.#tokens;
      for (const id of sampled) {
        advanceStopSearch(search, bytes.subarray(offsets[id], offsets[id + 1]));
      }
    }
    return search;
  }

  /** The staging buffer whose turn it is, and the bytes that a window leaves there. */
  nextStaging(): { staging: StagingBuffer; bytes: number } {
    const { staging, sampled: written } = this.#buffers;
    return { staging: staging.next(), bytes: written.size };
  }

  encodeClear(encoder: GPUCommandEncoder): void {
    encoder.clearBuffer(this.#buffers.sampled);
  }

  encodeCopy(encoder: GPUCommandEncoder, { buffer }: StagingBuffer): void {
    const { sampled: written } = this.#buffers;
    encoder.copyBufferToBuffer(written, 0, buffer, 0, written.size);
  }

  /** What a slot has written, in what was read. */
  decodeResult(read: ArrayBuffer, slot: number): GenerateResult {
    const row = new Uint32Array(read, slot * SAMPLED_STRIDE * 4, SAMPLED_STRIDE);
    const [count, end] = row;
    return {
      tokens: [...row.subarray(SAMPLED_HEADER, SAMPLED_HEADER + count)],
      finishReason: end === FINISH.stop ? "stop" : end === FINISH.length ? "length" : null,
      fault: this.#faultOf(end),
    };
  }

  #faultOf(end: number): SamplingFault | null {
    if (end === FINISH.notFinite) {
      const message =
        "Cannot sample: a logit is not finite; the model's weights or its state are " +
        "damaged, start from another state";
      return { kind: "not_finite", message };
    }
    if (end !== FINISH.allBanned) return null;
    const message =
      `Cannot sample: all ${this.#vocabulary} tokens are banned or have the logit -Infinity`;
    return { kind: "all_banned", message };
  }

  #uploadVocabulary({ offsets, bytes }: TokenTable): void {
    const words = new Uint32Array(this.#buffers.vocabulary.size / 4);
    const used = this.#vocabulary + 1;
    words.fill(offsets[offsets.length - 1], 0, used);
    words.set(offsets.subarray(0, used));
    new Uint8Array(words.buffer).set(bytes, (this.#vocabulary + 1) * 4);
    upload(this.#device, this.#buffers.vocabulary, words);
  }
}

/** The words of a slot that begins to sample. */
export function encodeSlot(
  { params, position, maxTokens: limit, endToken, stops }: SlotSampling,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(SLOT_WORDS);
  const numbers = new Float32Array(words.buffer);
  words[SLOT.active] = 1;
  words[SLOT.left] = limit;
  words[SLOT.seed] = Number(params.seed & 0xffffffffn);
  words[SLOT.seed + 1] = Number(params.seed >> 32n & 0xffffffffn);
  words[SLOT.position] = position;
  words[SLOT.position + 1] = Math.floor(position / 2 ** 32);
  numbers[SLOT.temperature] = params.temperature;
  numbers[SLOT.topP] = params.topP;
  words[SLOT.topK] = params.topK;
  numbers[SLOT.presencePenalty] = params.presencePenalty;
  numbers[SLOT.frequencyPenalty] = params.frequencyPenalty;
  numbers[SLOT.penaltyDecay] = params.penaltyDecay;
  words[SLOT.counting] = isCounting(params) ? 1 : 0;
  words[SLOT.endToken] = endToken ?? NO_TOKEN;
  if (stops) setStops(words, stops);
  return words;
}

/** The sets of a slot's stop strings. */
export function encodeStopMasks(
  { byteMasks: byByte, startMask: first, endMask: last }: StopSearch,
): Uint32Array<ArrayBuffer> {
  return Uint32Array.of(...byByte, ...first, ...last);
}

/** Whether it matters how often tokens were sampled. */
function isCounting({ presencePenalty, frequencyPenalty }: SlotSampling["params"]): boolean {
  return presencePenalty !== 0 || frequencyPenalty !== 0;
}

function setStops(words: Uint32Array, { words: count, found, prefixBits: bits }: StopSearch): void {
  words[SLOT.stopWords] = count;
  words[SLOT.stopFound] = found ? 1 : 0;
  words.set(bits, SLOT.bits);
}
