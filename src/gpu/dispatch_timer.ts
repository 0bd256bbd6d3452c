/** Measures each dispatch with the device's timestamp queries. */

import { InferenceError } from "../core/errors.ts";
import { encodeDispatches, type SizedDispatch } from "./dispatch.ts";
import { BUFFER_USAGE } from "./flags.ts";
import { type DeviceQueue, StagingBuffer } from "./queue.ts";

export class DispatchTimer {
  readonly #dispatches: readonly SizedDispatch[];
  readonly #queue: DeviceQueue;
  readonly #times: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: StagingBuffer;

  /** @throws InferenceError `invalid_value` if the device does not support timestamp queries. */
  constructor(device: GPUDevice, queue: DeviceQueue, dispatches: readonly SizedDispatch[]) {
    if (!device.features.has("timestamp-query")) {
      throw new InferenceError(
        "invalid_value",
        "Cannot time kernels: this adapter does not support timestamp-query",
      );
    }
    const count = 2 * dispatches.length;
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = BUFFER_USAGE;
    this.#dispatches = dispatches;
    this.#queue = queue;
    this.#times = device.createQuerySet({ label: "clock", type: "timestamp", count });
    this.#resolved = device.createBuffer({
      label: "times",
      size: count * 8,
      usage: QUERY_RESOLVE | COPY_SRC,
    });
    this.#staging = new StagingBuffer(
      device.createBuffer({ label: "times", size: count * 8, usage: COPY_DST | MAP_READ }),
    );
  }

  /** Returns the milliseconds of each dispatch, run in its own pass. */
  async run(): Promise<number[]> {
    const bytes = this.#resolved.size;
    const read = await this.#queue.run({
      encode: (encoder) => {
        for (const [i, dispatch] of this.#dispatches.entries()) {
          const pass = encoder.beginComputePass({
            label: dispatch.label,
            timestampWrites: {
              querySet: this.#times,
              beginningOfPassWriteIndex: 2 * i,
              endOfPassWriteIndex: 2 * i + 1,
            },
          });
          encodeDispatches(pass, [dispatch]);
          pass.end();
        }
        encoder.resolveQuerySet(this.#times, 0, 2 * this.#dispatches.length, this.#resolved, 0);
        encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging.buffer, 0, bytes);
      },
      read: { staging: this.#staging, bytes },
    });
    const times = new BigUint64Array(read!);
    return this.#dispatches.map((_, i) => Number(times[2 * i + 1] - times[2 * i]) / 1e6);
  }

  close(): void {
    this.#times.destroy();
    this.#resolved.destroy();
    this.#staging.buffer.destroy();
  }
}
