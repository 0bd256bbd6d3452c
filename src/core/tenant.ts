/** Tenants' names: each has states, conversations and answers of its own, and sees no others. */

/** Whose everything is where nobody says. */
export const DEFAULT_TENANT = "default";

/** What a name looks like, for people. */
export const TENANT_NAME_RULE =
  "1 to 63 lower-case letters, digits, - and _, the first one a letter or digit";

const TENANT = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** Whether a text is a tenant's name. None is `~`, under which the store keeps rows of its own. */
export function isTenantName(name: string): boolean {
  return TENANT.test(name);
}
