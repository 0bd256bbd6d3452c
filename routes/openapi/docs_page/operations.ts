/** The operations of an OpenAPI document, as the reference goes through them. */

import type { OpenApiDocument } from "../openapi_document.ts";
import type { Schema } from "./schema_text.ts";

export interface Operation {
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  parameters: { name: string; in: string; required?: boolean; schema: Schema }[];
  body: { description?: string; content: Record<string, MediaType> } | undefined;
  /** What it answers when all is well. */
  responses: DocumentedResponse[];
  errors: { status: string; code: string; when: string }[];
}

export interface DocumentedResponse {
  status: string;
  description: string;
  headers: string[];
  content: Record<string, MediaType>;
}

export interface MediaType {
  schema?: Schema;
  example?: unknown;
  examples?: Record<string, { summary: string; value: unknown }>;
}

/** An operation as the document has it. */
interface Declared {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  parameters?: Operation["parameters"];
  requestBody?: NonNullable<Operation["body"]>;
  responses: Record<string, DeclaredResponse>;
}

interface DeclaredResponse {
  description: string;
  headers?: object;
  content?: Record<string, MediaType>;
}

export function listOperations({ paths = {} }: OpenApiDocument): Operation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Declared>).map(([method, declared]) => {
      const responses = Object.entries(declared.responses);
      return {
        id: declared.operationId,
        method: method.toUpperCase(),
        path,
        tag: declared.tags[0],
        summary: declared.summary,
        description: declared.description,
        parameters: declared.parameters ?? [],
        body: declared.requestBody,
        responses: responses.filter(([, response]) => !isError(response)).map(answerOf),
        errors: responses.filter(([, response]) => isError(response)).flatMap(errorsOf),
      };
    })
  );
}

function isError({ content }: DeclaredResponse): boolean {
  return content?.["application/json"]?.schema?.$ref === "#/components/schemas/Error";
}

function answerOf([status, { description, headers = {}, content = {} }]: [
  string,
  DeclaredResponse,
]): DocumentedResponse {
  return { status, description, headers: Object.keys(headers), content };
}

function errorsOf([status, { content }]: [string, DeclaredResponse]): Operation["errors"] {
  const examples = Object.entries(content?.["application/json"]?.examples ?? {});
  return examples.map(([code, { summary }]) => ({ status, code, when: summary }));
}
