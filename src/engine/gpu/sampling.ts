/** Sampling on the device: encodes a slot's sampling settings and decodes the sampled tokens. */

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

/** Threads per group, of sixteen groups. One for software adapters, which run threads serially. */
const GROUP_THREADS = { software: 1, gpu: 16 };

export class GpuSampling {
  readonly #device: GPUDevice;
  readonly #buffers: SamplingBuffers;
  readonly #vocabulary: number;
  /** Default bias of a slot, which only bans tokens. */
  readonly #bans: Float32Array<ArrayBuffer>;
  /** Slots whose bias on the device differs from the default. */
  readonly #biased = new Set<number>();
  readonly #tokens: TokenTable | undefined;
  readonly #gather: Dispatch;
  readonly #sample: Dispatch;

  private constructor(
    device: GPUDevice,
    { buffers, sizes, gather, sample }: {
      buffers: SamplingBuffers;
      sizes: SamplingSizes;
      gather: Dispatch;
      sample: Dispatch;
    },
  ) {
    this.#device = device;
    this.#buffers = buffers;
    this.#vocabulary = sizes.vocabulary;
    this.#tokens = sizes.tokenTable;
    this.#gather = gather;
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
      gather: await pipelines.prepare(gatherLastToken, null, {
        slots,
        rows,
        runs: { buffer: inputs.runs },
      }),
      sample: await pipelines.prepare(
        sample,
        {
          vocabulary: sizes.vocabulary,
          window: MAX_STEPS,
          lanes: software ? GROUP_THREADS.software : GROUP_THREADS.gpu,
        },
        {
          logits,
          adjustments: { buffer: sampling.adjustments },
          slots,
          stops: { buffer: sampling.stops },
          vocabulary: { buffer: sampling.vocabulary },
          rows,
          outputRows: { buffer: inputs.outputRows },
          sampled: { buffer: sampling.sampled },
        },
      ),
    });
  }

  /** The dispatch before the layers, and the one after the head. */
  get dispatches(): { before: Dispatch; after: Dispatch } {
    return { before: this.#gather, after: this.#sample };
  }

  /** Uploads a slot's sampling settings, effective from its next token. */
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
    const search = stops && this.#advancedSearch(stops, sampling.alreadySampled ?? []);
    if (search) {
      upload(this.#device, this.#buffers.stops, encodeStopMasks(search), slot * STOPS_STRIDE * 4);
    }
    const words = encodeSlot({ ...sampling, stops: search });
    upload(this.#device, this.#buffers.slots, words, slot * SLOT_WORDS * 4);
  }

  /** Returns a copy of a search, advanced over the bytes of the tokens sampled so far. */
  #advancedSearch(stops: StopSearch, sampled: readonly number[]): StopSearch {
    const search = { ...stops, prefixBits: stops.prefixBits.slice() };
    if (this.#tokens) {
      const { bytes, offsets } = this.#tokens;
      for (const id of sampled) {
        advanceStopSearch(search, bytes.subarray(offsets[id], offsets[id + 1]));
      }
    }
    return search;
  }

  /** Returns the next staging buffer and the bytes that a window writes to it. */
  nextStaging(): { staging: StagingBuffer; bytes: number } {
    const { staging, sampled } = this.#buffers;
    return { staging: staging.next(), bytes: sampled.size };
  }

  encodeClear(encoder: GPUCommandEncoder): void {
    encoder.clearBuffer(this.#buffers.sampled);
  }

  encodeCopy(encoder: GPUCommandEncoder, { buffer }: StagingBuffer): void {
    const { sampled } = this.#buffers;
    encoder.copyBufferToBuffer(sampled, 0, buffer, 0, sampled.size);
  }

  /** Decodes a slot's sampled tokens. */
  decodeResult(read: ArrayBuffer, slot: number): GenerateResult {
    const row = new Uint32Array(read, slot * SAMPLED_STRIDE * 4, SAMPLED_STRIDE);
    const [count, finish] = row;
    return {
      tokens: [...row.subarray(SAMPLED_HEADER, SAMPLED_HEADER + count)],
      finishReason: finish === FINISH.stop ? "stop" : finish === FINISH.length ? "length" : null,
      fault: this.#faultOf(finish),
    };
  }

  #faultOf(finish: number): SamplingFault | null {
    if (finish === FINISH.notFinite) {
      const message =
        "Cannot sample: a logit is not finite, so the model's weights or its state are " +
        "damaged; start from another state";
      return { kind: "not_finite", message };
    }
    if (finish !== FINISH.allBanned) return null;
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

/** Encodes the words of a slot that starts to sample. */
export function encodeSlot(
  { params, position, maxTokens, endToken, stops }: SlotSampling,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(SLOT_WORDS);
  const numbers = new Float32Array(words.buffer);
  words[SLOT.active] = 1;
  words[SLOT.remaining] = maxTokens;
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
  words[SLOT.countsTokens] = isCounting(params) ? 1 : 0;
  words[SLOT.endToken] = endToken ?? NO_TOKEN;
  if (stops) setStops(words, stops);
  return words;
}

/** Encodes the masks of a slot's stop strings. */
export function encodeStopMasks(
  { byteMasks, startMask, endMask }: StopSearch,
): Uint32Array<ArrayBuffer> {
  return Uint32Array.of(...byteMasks, ...startMask, ...endMask);
}

/** Returns whether the penalties need token counts. */
function isCounting({ presencePenalty, frequencyPenalty }: SlotSampling["params"]): boolean {
  return presencePenalty !== 0 || frequencyPenalty !== 0;
}

function setStops(words: Uint32Array, { words: count, found, prefixBits }: StopSearch): void {
  words[SLOT.stopWords] = count;
  words[SLOT.stopFound] = found ? 1 : 0;
  words.set(prefixBits, SLOT.stopBits);
}
