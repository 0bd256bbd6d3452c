/** Responses of the probes. */

import { z } from "@hono/zod-openapi";

const status = z.enum(["starting", "ok", "rebuilding", "failed"]).openapi({
  description:
    "`starting`: the model is loading. `ok`: it is running. `rebuilding`: it is being reloaded " +
    "after a GPU failure. `failed`: it failed to load or stopped running.",
  example: "ok",
});

const reason = z.string().nullable().openapi({
  description: "Why the status is neither `starting` nor `ok`.",
  example: null,
});

export const statusSchema = z.object({ status, reason }).openapi("Status");

const store = z.object({
  kind: z.enum(["memory", "file", "server"]).openapi({
    description: "Where states are stored.",
    example: "server",
  }),
  status: z.enum(["reachable", "unreachable", "unknown"]).openapi({
    description:
      "Result of the last probe, a few seconds old at most; `unknown` before the first " +
      "one. While the store is unreachable, only turns that do not resume a state are served.",
    example: "reachable",
  }),
  problem: z.string().nullable().openapi({
    description: "Why the store is unreachable.",
    example: null,
  }),
  since: z.string().openapi({
    description: "Start of this status as observed by this worker, in ISO 8601.",
    example: "2026-01-01T12:00:00.000Z",
  }),
}).nullable().openapi("StoreHealth", { description: "The state store; null until it is open." });

const running = {
  model: z.string().nullable().openapi({ description: "The model's id.", example: "rwkv-5-0.4b" }),
  device: z.enum(["webgpu", "cpu"]).nullable().openapi({
    description: "The engine that runs the model.",
    example: "webgpu",
  }),
  adapter: z.string().nullable().openapi({
    description: "Names of the GPU and its driver, from the platform.",
    example: "NVIDIA L4",
  }),
  store,
};

export const readySchema = z.object({ status, reason, ...running }).openapi("Readiness", {
  description: "Unknown values are null.",
});

const bytes = z.int().min(0);

export const healthSchema = z.object({
  status,
  reason,
  ...running,
  device_reason: z.string().nullable().openapi({
    description: "The selected engine, and the reason.",
    example: "WebGPU engine: NVIDIA L4 is a hardware adapter",
  }),
  software: z.boolean().nullable().openapi({
    description: "Whether the adapter is a software renderer.",
    example: false,
  }),
  quant: z.string().nullable().openapi({
    description: "Format of the weights in memory.",
    example: "int8",
  }),
  loaded: z.number().min(0).max(1).nullable().openapi({
    description: "Fraction of the weights that is loaded.",
    example: 1,
  }),
  memory: z.object({
    weights: bytes.openapi({ description: "Weights.", example: 482_344_960 }),
    states: bytes.openapi({ description: "States of all slots.", example: 50_331_648 }),
    work: bytes.openapi({
      description: "Working memory of the engine's steps.",
      example: 8_388_608,
    }),
    total: bytes.openapi({ description: "Sum of the above.", example: 541_065_216 }),
  }).nullable().openapi({ description: "Bytes allocated by the engine." }),
  warning: z.string().nullable().openapi({
    description: "Why no hardware GPU is used; null with `--device cpu`.",
    example: null,
  }),
}).openapi("Health", { description: "Unknown values are null." });

export type Health = z.infer<typeof healthSchema>;
export type Readiness = z.infer<typeof readySchema>;
