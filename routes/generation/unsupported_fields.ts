/** Known fields that are not supported. They accept only values that have no effect. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";

/** For each field: `accepts`, the schema of values that have no effect, and an error message. */
export type UnsupportedFields = Record<string, { accepts: z.ZodType; message: string }>;

/** Returns schema fields that document unsupported fields. `assertSupported` checks their values. */
export function documentedFields<T extends UnsupportedFields>(
  fields: T,
): { [Name in keyof T]: z.ZodOptional<z.ZodUnknown> } {
  const shape = Object.entries(fields).map(([name, { accepts, message }]) => {
    const { $schema: _, ...schema } = z.toJSONSchema(accepts.nullable());
    const description =
      `${message[0].toUpperCase()}${message.slice(1)}. Any value with an effect ` +
      "returns 400 `unsupported_value`.";
    const documentation = { ...schema, description, example: null } as object;
    return [name, z.unknown().optional().openapi(documentation)];
  });
  return Object.fromEntries(shape);
}

/**
 * Checks that unsupported fields are absent or have no effect.
 *
 * @throws InferenceError `unsupported_value`, naming the field
 */
export function assertSupported(body: Record<string, unknown>, fields: UnsupportedFields): void {
  for (const [param, { accepts, message }] of Object.entries(fields)) {
    if (accepts.nullish().safeParse(body[param]).success) continue;
    throw new InferenceError("unsupported_value", `${param}: ${message}`, { param });
  }
}
