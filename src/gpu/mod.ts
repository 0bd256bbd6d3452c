/** The GPU layer: devices, buffers, pipelines. */

export { type OpenDevice, openDevice } from "./device.ts";
export { readFloats, stagingBuffer, storageBuffer, upload } from "./buffers.ts";
export { type BoundBuffer, type Dispatch, encode, Pipelines } from "./dispatch.ts";
