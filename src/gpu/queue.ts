/**
 * Hands work to a device in order, and keeps it busy while results are read back.
 *
 * Where the platform waits for the device inside of `mapAsync` and sleeps before it tells (Deno: ten
 * milliseconds at least), what is called next is encoded before that wait, and submitted right after
 * it: the device then runs while this thread sleeps.
 */

import { deferred } from "../core/deferred.ts";
import { type FaultKind, InferenceError } from "../core/errors.ts";
import { readBytes } from "./buffers.ts";

/** Milliseconds within which a device that is lost says so, after a call to it has thrown. */
const LOST_MS = 1_000;

/** A buffer that results are copied to, to be read by the CPU. */
export class StagingBuffer {
  readonly buffer: GPUBuffer;
  /** Resolves when what was copied last has been read. */
  idle: Promise<void> = Promise.resolve();

  constructor(buffer: GPUBuffer) {
    this.buffer = buffer;
  }
}

/** Staging buffers that take turns: one can be read while the next one is written. */
export class StagingRing {
  readonly #stagings: StagingBuffer[];

  /** @param buffers At least one. */
  constructor(buffers: readonly GPUBuffer[]) {
    this.#stagings = buffers.map((buffer) => new StagingBuffer(buffer));
  }

  /** The one whose turn it is. */
  next(): StagingBuffer {
    const staging = this.#stagings.shift()!;
    this.#stagings.push(staging);
    return staging;
  }
}

export interface QueueWork {
  /** Makes commands, at once, while earlier work may still run. */
  encode?: (encoder: GPUCommandEncoder) => void;
  /** Writes to buffers, when everything before has been submitted. */
  write?: () => void;
  /** What the commands have copied, to be read: the first `bytes` bytes. */
  read?: { staging: StagingBuffer; bytes: number };
  /** Whether more work may be called for while this is read: it is waited for a little, to be encoded. */
  expectMore?: boolean;
}

export class DeviceQueue {
  readonly #device: GPUDevice;
  /** What the device reported outside of any call; everything later fails with it. */
  #fault: InferenceError | null = null;
  readonly #failed = deferred<InferenceError>();
  /** Resolves when the last work is submitted, and the wait for it, if any, is over or has begun. */
  #handed: Promise<void> = Promise.resolve();
  /** Resolves when everything so far has been read: to nothing, or each would hold the one before. */
  #read: Promise<void> = Promise.resolve();

  /** Calls of `run` that have not returned, and when the last one did. */
  #running = 0;
  #lastRun = performance.now();

  constructor(device: GPUDevice) {
    this.#device = device;
    device.lost.then(({ reason, message }) => {
      this.#fail(`The GPU is gone (${reason}): ${message}`, "device_lost");
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      // By name: the class is no global where the `GPU` was passed in.
      if (error.constructor.name === "GPUOutOfMemoryError") {
        this.#fail(`The GPU has no memory left: ${error.message}`, "out_of_memory");
      } else this.#fail(`The GPU refused work: ${error.message}`, "refused");
    });
  }

  /** Resolves when the device has failed: everything later rejects with that. */
  get failed(): Promise<InferenceError> {
    return this.#failed.promise;
  }

  /**
   * Does work behind all that was called for before.
   *
   * @returns What was to be read, once it is done; else nothing, once it is submitted.
   * @throws InferenceError `device_lost`
   */
  async run(work: QueueWork): Promise<ArrayBuffer | null> {
    this.#running++;
    try {
      return await this.#run(work);
    } catch (error) {
      throw error instanceof InferenceError ? error : await this.#behind(error);
    } finally {
      this.#running--;
      this.#lastRun = performance.now();
    }
  }

  /** Milliseconds since work was last in progress; 0 while it is. */
  get idleMs(): number {
    return this.#running > 0 ? 0 : performance.now() - this.#lastRun;
  }

  /** A lost device may throw at whoever calls it before it says that it is lost. */
  async #behind(error: unknown): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(() => resolve(error), LOST_MS));
    const cause = await Promise.race([this.#failed.promise, late]);
    clearTimeout(timer);
    return cause;
  }

  async #run({ encode, write, read, expectMore: more }: QueueWork): Promise<ArrayBuffer | null> {
    const before = { handed: this.#handed, read: this.#read, idle: read?.staging.idle };
    const handed = deferred<void>();
    const done = deferred<void>();
    this.#handed = handed.promise;
    if (read) {
      read.staging.idle = done.promise;
      this.#read = Promise.all([before.read, done.promise]).then(() => {});
    }
    try {
      this.#check();
      const encoder = encode && this.#device.createCommandEncoder();
      if (encoder) encode(encoder);
      const commands = encoder?.finish();
      await Promise.all([before.handed, before.idle]);
      this.#check();
      write?.();
      if (commands) this.#device.queue.submit([commands]);
      if (!read) return null;
      if (more) {
        await before.read;
        await new Promise((resolve) => setTimeout(resolve));
      }
      const mapped = readBytes(read.staging.buffer, read.bytes);
      handed.resolve();
      const bytes = await mapped;
      this.#check();
      return bytes;
    } finally {
      handed.resolve();
      done.resolve();
    }
  }

  /** Does nothing more: resolves when all work so far is done, and refuses what comes later. */
  async close(): Promise<void> {
    await Promise.all([this.#handed, this.#read]);
    this.#fault ??= new InferenceError("device_lost", "The engine is closed");
  }

  #check(): void {
    if (this.#fault) throw this.#fault;
  }

  #fail(message: string, fault: FaultKind): void {
    if (this.#fault) return;
    this.#fault = new InferenceError("device_lost", message, { fault });
    this.#failed.resolve(this.#fault);
  }
}
