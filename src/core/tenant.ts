/** Tenant names. Each tenant has its own states, conversations and responses and sees no others. */

/** The tenant of keys that name none, and of a worker without keys. */
export const DEFAULT_TENANT = "default";

/** Describes valid names in error messages. */
export const TENANT_NAME_RULE =
  "1 to 63 lower-case letters, digits, - and _, the first one a letter or digit";

const TENANT = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Returns whether a text is a valid name. `~` is not: the store uses it for its own rows. */
export function isTenantName(name: string): boolean {
  return TENANT.test(name);
}
