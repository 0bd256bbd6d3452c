/** Health check of the container image: exits with 0 when the worker on this machine is ready. */

const url = `http://127.0.0.1:${Deno.env.get("PORT") || 8000}/ready`;
const response = await fetch(url).catch(() => null);
await response?.body?.cancel();
Deno.exit(response?.ok ? 0 : 1);
