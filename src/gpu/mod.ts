/** GPU layer: devices, buffers, pipelines. */

export {
  findAdapter,
  type FoundAdapter,
  openAdapter,
  type OpenDevice,
  openDevice,
  REQUIRED_LIMITS,
} from "./device.ts";
export {
  type BufferDevice,
  DeviceBuffers,
  type MemoryBytes,
  type MemoryUse,
  readBytes,
  totalBytes,
  upload,
} from "./buffers.ts";
export {
  type BoundBuffer,
  type Dispatch,
  encodeDispatches,
  Pipelines,
  type SizedDispatch,
  sizeDispatches,
} from "./dispatch.ts";
export { DeviceQueue, type QueueWork, StagingBuffer, StagingRing } from "./queue.ts";
export { DispatchTimer } from "./dispatch_timer.ts";
