/** Extracts the operations of an OpenAPI document for the documentation page. */

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
  /** Successful responses. */
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

/** An operation of the document. */
interface OperationObject {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  parameters?: Operation["parameters"];
  requestBody?: NonNullable<Operation["body"]>;
  responses: Record<string, ResponseObject>;
}

interface ResponseObject {
  description: string;
  headers?: object;
  content?: Record<string, MediaType>;
}

/** Lists all operations of a document. */
export function listOperations({ paths = {} }: OpenApiDocument): Operation[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item as Record<string, OperationObject>).map(([method, operation]) => {
      const responses = Object.entries(operation.responses);
      return {
        id: operation.operationId,
        method: method.toUpperCase(),
        path,
        tag: operation.tags[0],
        summary: operation.summary,
        description: operation.description,
        parameters: operation.parameters ?? [],
        body: operation.requestBody,
        responses: responses.filter(([, response]) => !isError(response)).map(documentedResponse),
        errors: responses.filter(([, response]) => isError(response)).flatMap(errorsOf),
      };
    })
  );
}

function isError({ content }: ResponseObject): boolean {
  return content?.["application/json"]?.schema?.$ref === "#/components/schemas/Error";
}

function documentedResponse([status, { description, headers = {}, content = {} }]: [
  string,
  ResponseObject,
]): DocumentedResponse {
  return { status, description, headers: Object.keys(headers), content };
}

function errorsOf([status, { content }]: [string, ResponseObject]): Operation["errors"] {
  const examples = Object.entries(content?.["application/json"]?.examples ?? {});
  return examples.map(([code, { summary }]) => ({ status, code, when: summary }));
}
