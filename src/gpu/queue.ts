/**
 * Submits work to a device in order and keeps the device busy while results are read back.
 *
 * In Deno, `mapAsync` blocks this thread for at least ten milliseconds. The queue therefore encodes
 * and submits the next work before that wait, so that the device computes while this thread sleeps.
 */

import { deferred } from "../core/deferred.ts";
import { type FaultKind, InferenceError } from "../core/errors.ts";
import { readBytes } from "./buffers.ts";

/** Milliseconds to wait for a device's `lost` event after a call on it has thrown. */
const LOST_EVENT_MS = 1_000;

/** A buffer into which results are copied for the CPU to read. */
export class StagingBuffer {
  readonly buffer: GPUBuffer;
  /** Resolves when the last copied results have been read. */
  idle: Promise<void> = Promise.resolve();

  constructor(buffer: GPUBuffer) {
    this.buffer = buffer;
  }
}

/** Staging buffers used in rotation: one can be read while the next is written. */
export class StagingRing {
  readonly #stagings: StagingBuffer[];

  /** @param buffers At least one. */
  constructor(buffers: readonly GPUBuffer[]) {
    this.#stagings = buffers.map((buffer) => new StagingBuffer(buffer));
  }

  /** Returns the next buffer in rotation. */
  next(): StagingBuffer {
    const staging = this.#stagings.shift()!;
    this.#stagings.push(staging);
    return staging;
  }
}

export interface QueueWork {
  /** Encodes commands synchronously; earlier work may still be running. */
  encode?: (encoder: GPUCommandEncoder) => void;
  /** Writes to buffers after all earlier work has been submitted. */
  write?: () => void;
  /** Reads the first `bytes` bytes of a staging buffer that the commands copy to. */
  read?: { staging: StagingBuffer; bytes: number };
  /**
   * Whether more work may follow; the queue then waits briefly before reading, to encode it first.
   */
  expectMore?: boolean;
}

export class DeviceQueue {
  readonly #device: GPUDevice;
  /** Error that the device reported outside of any call; all later work rejects with it. */
  #fault: InferenceError | null = null;
  readonly #failed = deferred<InferenceError>();
  /** Resolves when the last work has been submitted and its read, if any, has started. */
  #submitted: Promise<void> = Promise.resolve();
  /**
   * Resolves when all reads have completed. It has no value, so that it retains no earlier promise.
   */
  #read: Promise<void> = Promise.resolve();

  /** Number of `run` calls in progress, and when the last one returned. */
  #running = 0;
  #lastRun = performance.now();

  constructor(device: GPUDevice) {
    this.#device = device;
    device.lost.then(({ reason, message }) => {
      this.#fail(`The GPU device was lost (${reason}): ${message}`, "device_lost");
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      // Compared by name: the class may not be a global if the `GPU` was passed in.
      if (error.constructor.name === "GPUOutOfMemoryError") {
        this.#fail(`The GPU is out of memory: ${error.message}`, "out_of_memory");
      } else this.#fail(`The GPU rejected work: ${error.message}`, "refused");
    });
  }

  /** Resolves with the error when the device fails; all later work rejects with it. */
  get failed(): Promise<InferenceError> {
    return this.#failed.promise;
  }

  /**
   * Runs work after all earlier work.
   *
   * @returns The bytes read, once the work has completed; without `read`, `null` once submitted.
   * @throws InferenceError `device_lost`
   */
  async run(work: QueueWork): Promise<ArrayBuffer | null> {
    this.#running++;
    try {
      return await this.#run(work);
    } catch (error) {
      throw error instanceof InferenceError ? error : await this.#causeOf(error);
    } finally {
      this.#running--;
      this.#lastRun = performance.now();
    }
  }

  /** Milliseconds since work was last in progress; 0 while work is in progress. */
  get idleMs(): number {
    return this.#running > 0 ? 0 : performance.now() - this.#lastRun;
  }

  /**
   * Returns the cause of an exception: calls on a lost device may throw before its `lost` event.
   */
  async #causeOf(error: unknown): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise((resolve) =>
      timer = setTimeout(() => resolve(error), LOST_EVENT_MS)
    );
    const cause = await Promise.race([this.#failed.promise, timeout]);
    clearTimeout(timer);
    return cause;
  }

  async #run({ encode, write, read, expectMore }: QueueWork): Promise<ArrayBuffer | null> {
    const before = { submitted: this.#submitted, read: this.#read, idle: read?.staging.idle };
    const submitted = deferred<void>();
    const done = deferred<void>();
    this.#submitted = submitted.promise;
    if (read) {
      read.staging.idle = done.promise;
      this.#read = Promise.all([before.read, done.promise]).then(() => {});
    }
    try {
      this.#assertWorking();
      const encoder = encode && this.#device.createCommandEncoder();
      if (encoder) encode(encoder);
      const commands = encoder?.finish();
      await Promise.all([before.submitted, before.idle]);
      this.#assertWorking();
      write?.();
      if (commands) this.#device.queue.submit([commands]);
      if (!read) return null;
      if (expectMore) {
        await before.read;
        await new Promise((resolve) => setTimeout(resolve));
      }
      const mapped = readBytes(read.staging.buffer, read.bytes);
      submitted.resolve();
      const bytes = await mapped;
      this.#assertWorking();
      return bytes;
    } finally {
      submitted.resolve();
      done.resolve();
    }
  }

  /** Rejects all later work; resolves when the work so far has completed. */
  async close(): Promise<void> {
    await Promise.all([this.#submitted, this.#read]);
    this.#fault ??= new InferenceError("device_lost", "The engine is closed");
  }

  #assertWorking(): void {
    if (this.#fault) throw this.#fault;
  }

  #fail(message: string, fault: FaultKind): void {
    if (this.#fault) return;
    this.#fault = new InferenceError("device_lost", message, { fault });
    this.#failed.resolve(this.#fault);
  }
}
