/** Fields that are understood and cannot be served: what they may be all the same. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";

/** By field: `takes` are the values that ask for nothing. */
export type UnsupportedFields = Record<string, { takes: z.ZodType; message: string }>;

/** Fields of a schema that documents them; what they hold is `assertSupported`'s to check. */
export function documentedFields<T extends UnsupportedFields>(
  fields: T,
): { [Name in keyof T]: z.ZodOptional<z.ZodUnknown> } {
  const shape = Object.entries(fields).map(([name, { takes, message }]) => {
    const { $schema: _, ...schema } = z.toJSONSchema(takes.nullable());
    const description = `Taken only where it asks for nothing, else 400 \`unsupported_value\`: ` +
      `${message}.`;
    const told = { ...schema, description, example: null } as object;
    return [name, z.unknown().optional().openapi(told)];
  });
  return Object.fromEntries(shape);
}

/** @throws InferenceError `unsupported_value`, naming the field */
export function assertSupported(body: Record<string, unknown>, fields: UnsupportedFields): void {
  for (const [param, { takes, message }] of Object.entries(fields)) {
    if (takes.nullish().safeParse(body[param]).success) continue;
    throw new InferenceError("unsupported_value", `${param}: ${message}`, { param });
  }
}
