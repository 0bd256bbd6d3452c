/** `/docs`: the OpenAPI document as a page, without scripts and third-party resources. */

import { Hono } from "hono";
import type { OpenApiDocument } from "./openapi_document.ts";
import { PAGE_HEADERS } from "../page/page.ts";
import { renderDocsPage } from "./docs_page/render.ts";
import styles from "./docs_page/docs_page.css" with { type: "text" };

/** @param getDocument Returns the document of the whole app. */
export function docsPageRoutes(getDocument: () => OpenApiDocument): Hono {
  let page: Promise<string> | undefined;
  return new Hono()
    .get("/docs", async (c) => {
      page ??= renderDocsPage(getDocument());
      return c.body(await page, 200, {
        ...PAGE_HEADERS,
        "content-type": "text/html; charset=utf-8",
      });
    })
    .get("/docs.css", (c) => {
      return c.body(styles, 200, { ...PAGE_HEADERS, "content-type": "text/css; charset=utf-8" });
    });
}
