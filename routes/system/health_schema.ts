/** What probes answer. */

import { z } from "@hono/zod-openapi";

const status = z.enum(["starting", "ok", "rebuilding", "failed"]).openapi({
  description:
    "Whether the model loads, runs, is loaded again since the GPU has failed, or could " +
    "not be loaded.",
  example: "ok",
});

const reason = z.string().nullable().openapi({
  description: "Why it is neither starting nor ok.",
  example: null,
});

export const statusSchema = z.object({ status, reason }).openapi("Status");

const store = z.object({
  kind: z.enum(["memory", "file", "server"]).openapi({
    description: "What holds the states.",
    example: "server",
  }),
  status: z.enum(["reachable", "unreachable", "unknown"]).openapi({
    description: "Whether it answers, as it was asked some seconds ago at most, or has just not " +
      "been asked yet. While it does not, only turns that start anew are answered.",
    example: "reachable",
  }),
  problem: z.string().nullable().openapi({
    description: "What is wrong where it is unreachable.",
    example: null,
  }),
  since: z.string().openapi({
    description: "Since when it has been so, as far as this worker knows, by ISO 8601.",
    example: "2026-01-01T12:00:00.000Z",
  }),
}).nullable().openapi("StoreHealth", { description: "The store of states, once it is open." });

const running = {
  model: z.string().nullable().openapi({ description: "The model's id.", example: "rwkv-5-0.4b" }),
  device: z.enum(["webgpu", "cpu"]).nullable().openapi({
    description: "What it runs on.",
    example: "webgpu",
  }),
  adapter: z.string().nullable().openapi({
    description: "The GPU and its driver, as the platform names them.",
    example: "NVIDIA L4",
  }),
  store,
};

export const readySchema = z.object({ status, reason, ...running }).openapi("Readiness", {
  description: "What is not known yet is null.",
});

const bytes = z.int().min(0);

export const healthSchema = z.object({
  status,
  reason,
  ...running,
  device_reason: z.string().nullable().openapi({
    description: "Which engine runs, and why.",
    example: "WebGPU engine: NVIDIA L4 is a hardware adapter",
  }),
  software: z.boolean().nullable().openapi({
    description: "Whether the adapter is a software renderer.",
    example: false,
  }),
  quant: z.string().nullable().openapi({
    description: "How the weights are held.",
    example: "int8",
  }),
  loaded: z.number().min(0).max(1).nullable().openapi({
    description: "Share of the weights that is in its place.",
    example: 1,
  }),
  memory: z.object({
    weights: bytes.openapi({ description: "Of the weights.", example: 482_344_960 }),
    states: bytes.openapi({ description: "Of the states of all slots.", example: 50_331_648 }),
    work: bytes.openapi({ description: "Of what steps need.", example: 8_388_608 }),
    total: bytes.openapi({ description: "Their sum.", example: 541_065_216 }),
  }).nullable().openapi({ description: "Bytes that the engine has allocated." }),
  warning: z.string().nullable().openapi({
    description: "Why no GPU is used, unless `--device cpu` asks for that.",
    example: null,
  }),
}).openapi("Health", { description: "What is not known yet is null." });

export type Health = z.infer<typeof healthSchema>;
export type Readiness = z.infer<typeof readySchema>;
