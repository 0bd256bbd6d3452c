/** Structured output: OpenAI's `response_format`, and the fields of vLLM and llama.cpp. */

import { z } from "@hono/zod-openapi";
import { InferenceError } from "../../src/core/errors.ts";
import type { Constraint } from "../../src/core/sampling.ts";

const TYPES = "expected text, json_object or json_schema";

/** A custom type, since zod would parse and rebuild an object with arbitrary property names. */
const jsonSchema = z.custom<object>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  { error: "expected a JSON schema, as an object" },
).openapi({
  type: "object",
  description: "A JSON schema. Keywords that a grammar cannot express (`not`, `if`, " +
    "`uniqueItems`, …) return 400 `invalid_value` with their name and path.",
  example: { type: "array", items: { type: "integer", minimum: 0 }, maxItems: 3 },
});

function kind<T extends string>(type: T, description: string) {
  return z.literal(type).openapi({ description, example: type });
}

const responseFormat = z.discriminatedUnion("type", [
  z.object({ type: kind("text", "Any text.") }),
  z.object({
    type: kind("json_object", "Any JSON object, or JSON that matches a schema."),
    schema: jsonSchema.nullish(),
  }),
  z.object({
    type: kind("json_schema", "JSON that matches a schema."),
    json_schema: z.object({
      name: z.string().nullish().openapi({ description: "Ignored.", example: "person" }),
      description: z.string().nullish().openapi({ description: "Ignored.", example: "A person." }),
      schema: jsonSchema,
      strict: z.boolean().nullish().openapi({
        description: "Ignored; the schema is always enforced.",
        example: true,
      }),
    }).openapi({ description: "The schema and its name." }),
  }),
], { error: TYPES });

/** The equivalent of the Responses API. */
export const textFormat = z.discriminatedUnion("type", [
  z.object({ type: kind("text", "Any text.") }),
  z.object({ type: kind("json_object", "Any JSON object.") }),
  z.object({
    type: kind("json_schema", "JSON that matches a schema."),
    name: z.string().nullish().openapi({ description: "Ignored.", example: "person" }),
    description: z.string().nullish().openapi({ description: "Ignored.", example: "A person." }),
    schema: jsonSchema,
    strict: z.boolean().nullish().openapi({
      description: "Ignored; the schema is always enforced.",
      example: true,
    }),
  }),
], { error: TYPES });

export type TextFormat = z.infer<typeof textFormat>;

const regex = z.string().nullish().openapi({
  description: "A regular expression that the whole reply must match.",
  example: "\\d{3}-\\d{4}",
});

const choices = z.array(z.string()).nullish().openapi({
  description: "The reply must be one of these strings.",
  example: ["yes", "no"],
});

const grammar = z.string().nullish().openapi({
  description: "An EBNF grammar. The reply must match its rule `root`.",
  example: 'root ::= "yes" | "no" [!?]?',
});

/** A schema as an object or as JSON text. */
const schemaOrText = z.union([jsonSchema, z.string()], {
  error: "expected a JSON schema, as an object or as its text",
}).nullish().openapi({
  description: "A JSON schema that the reply must match, as an object or as a string.",
  example: { type: "array", items: { type: "integer" }, maxItems: 3 },
});

export const formatFields = {
  response_format: responseFormat.nullish().openapi({
    description:
      "Format of the reply: any text, any JSON object, or JSON that matches a schema. A " +
      "reply that reaches `max_tokens` is incomplete.",
    example: { type: "json_object" },
  }),
  guided_regex: regex,
  guided_choice: choices,
  guided_grammar: grammar,
  guided_json: schemaOrText,
  json_schema: schemaOrText,
  grammar,
  structured_outputs: z.strictObject({
    json: schemaOrText,
    regex,
    choice: choices,
    grammar,
    json_object: z.boolean().nullish().openapi({ description: "Any JSON object.", example: true }),
  }).nullish().openapi({
    description: "Format of the reply with vLLM's names. Exactly one of the fields may be set.",
    example: { choice: ["yes", "no"] },
  }),
};

type FormatRequest = z.infer<z.ZodObject<typeof formatFields>>;

/**
 * Returns the constraint of a request.
 *
 * @throws InferenceError `invalid_value` if the request has several constraints
 */
export function constraintOf(request: FormatRequest): Constraint | undefined {
  const { response_format, structured_outputs } = request;
  const constraints: Record<string, Constraint | null> = {
    response_format: response_format ? formatOf(response_format) : null,
    guided_regex: regexOf(request.guided_regex),
    guided_choice: choiceOf(request.guided_choice),
    guided_grammar: grammarOf(request.guided_grammar),
    guided_json: schemaOf(request.guided_json),
    json_schema: schemaOf(request.json_schema),
    grammar: grammarOf(request.grammar),
    "structured_outputs.json": schemaOf(structured_outputs?.json),
    "structured_outputs.regex": regexOf(structured_outputs?.regex),
    "structured_outputs.choice": choiceOf(structured_outputs?.choice),
    "structured_outputs.grammar": grammarOf(structured_outputs?.grammar),
    "structured_outputs.json_object": structured_outputs?.json_object
      ? { type: "json_object" }
      : null,
  };
  const [first, second] = Object.entries(constraints).filter(([, constraint]) =>
    constraint !== null
  );
  if (second) {
    const [[one], [other]] = [first, second];
    throw new InferenceError(
      "invalid_value",
      `${other}: ${one} is also set; send only one of them`,
      { param: other },
    );
  }
  return first?.[1] ?? undefined;
}

function regexOf(pattern: string | null | undefined): Constraint | null {
  return typeof pattern === "string" ? { type: "regex", pattern } : null;
}

function choiceOf(choices: string[] | null | undefined): Constraint | null {
  return choices?.length ? { type: "choice", choices } : null;
}

function grammarOf(ebnf: string | null | undefined): Constraint | null {
  // Several clients send an empty grammar by default.
  return ebnf ? { type: "grammar", ebnf } : null;
}

function schemaOf(schema: object | string | null | undefined): Constraint | null {
  if (schema === null || schema === undefined || schema === "") return null;
  return {
    type: "json_schema",
    schema: typeof schema === "string" ? schema : JSON.stringify(schema),
  };
}

function formatOf(format: z.infer<typeof responseFormat>): Constraint | null {
  if (format.type === "json_object" && format.schema) return schemaOf(format.schema);
  return textConstraint(
    format.type === "json_schema" ? { ...format.json_schema, type: format.type } : format,
  );
}

/** Returns the constraint of a text format; `null` for any text. */
export function textConstraint(format: TextFormat): Constraint | null {
  if (format.type === "text") return null;
  if (format.type === "json_object") return { type: "json_object" };
  return { type: "json_schema", schema: JSON.stringify(format.schema) };
}
