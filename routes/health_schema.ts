/** What probes answer. */

import { z } from "@hono/zod-openapi";

const status = z.enum(["starting", "ok", "failed"]).openapi({
  description: "Whether the model loads, runs, or could not be loaded.",
  example: "ok",
});

export const statusSchema = z.object({ status }).openapi("Status");

const bytes = z.int().min(0);

export const healthSchema = z.object({
  status,
  model: z.string().nullable().openapi({ description: "The model's id.", example: "rwkv-5-0.4b" }),
  device: z.enum(["webgpu", "cpu"]).nullable().openapi({
    description: "What it runs on.",
    example: "webgpu",
  }),
  adapter: z.string().nullable().openapi({
    description: "The GPU, as the platform names it.",
    example: "NVIDIA L4",
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
  kv: z.string().nullable().openapi({
    description: "What holds the states: a path or a URL.",
    example: "./data/states.sqlite",
  }),
  warning: z.string().nullable().openapi({
    description: "Why the worker is slow, where it has no GPU.",
    example: null,
  }),
}).openapi("Health", { description: "What is not known yet is null." });

export type Health = z.infer<typeof healthSchema>;
