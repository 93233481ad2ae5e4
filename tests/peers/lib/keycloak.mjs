// Keycloak in dev mode with its embedded database, realms made of keycloak-realm.json, and the few calls of its admin API the
// tests need.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bareEnvironment, freePorts, start } from './process.mjs';

const admin = { user: 'admin', password: 'admin-pw-for-tests-only' };

async function call(url, init) {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(30_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${init?.method ?? 'GET'} ${url}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** A user of a realm as Keycloak's admin API takes it, with the password that `signIn` gives; `more` goes over it. */
export function userOf(username, more = {}) {
  return {
    username, enabled: true, email: `${username}@example.com`, emailVerified: true, firstName: username, lastName: 'Example',
    credentials: [{ type: 'password', value: `${username}-pw`, temporary: false }], groups: [], ...more,
  };
}

class Realm {
  constructor(keycloak, name) { this.keycloak = keycloak; this.name = name; this.issuer = `${keycloak.base}/realms/${name}`; }

  #admin(method, path, body) { return this.keycloak.admin(method, `/${this.name}${path}`, body); }

  #token(client, form) {
    const secret = client === 'chat' ? { client_secret: 'chat-secret-for-tests-only' } : {};
    return call(`${this.issuer}/protocol/openid-connect/token`, { method: 'POST', body: new URLSearchParams({ client_id: client, ...secret, ...form }) });
  }

  /** Signs a user in, each time in a session of its own; gives {access_token, id_token, refresh_token, expires_in}. */
  signIn(user, client = 'chat') { return this.#token(client, { grant_type: 'password', username: user, password: `${user}-pw`, scope: 'openid' }); }

  renew(session, client = 'chat') { return this.#token(client, { grant_type: 'refresh_token', refresh_token: session.refresh_token }); }

  /** Changes a user, as the help desk does. */
  async change(user, change) {
    const [found] = await this.#admin('GET', `/users?exact=true&username=${encodeURIComponent(user)}`);
    await this.#admin('PUT', `/users/${found.id}`, { ...found, ...change });
  }

  /** Adds an RS256 key that signs from now on; the old ones stay in the JWKS. */
  async rotate(name) {
    const realm = await this.#admin('GET', '');
    await this.#admin('POST', '/components', {
      name, providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider', parentId: realm.id,
      config: { priority: [String(Math.floor(Date.now() / 1000))], enabled: ['true'], active: ['true'], keySize: ['2048'], algorithm: ['RS256'] },
    });
  }

  /** Takes a key out of the JWKS. */
  async disable(name) {
    const found = (await this.#admin('GET', '/components?type=org.keycloak.keys.KeyProvider')).find((component) => component.name === name);
    await this.#admin('PUT', `/components/${found.id}`, { ...found, config: { ...found.config, enabled: ['false'] } });
  }
}

class Keycloak {
  constructor(base, child) { this.base = base; this.child = child; }

  /** Asks the admin API below /admin/realms. */
  async admin(method, path, body) {
    const form = new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', username: admin.user, password: admin.password });
    const { access_token: token } = await call(`${this.base}/realms/master/protocol/openid-connect/token`, { method: 'POST', body: form });
    return call(`${this.base}/admin/realms${path}`, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
  }

  /** Makes a realm of keycloak-realm.json; `change` gives what it shall be instead. */
  async realm(name, change = (realm) => realm) {
    const realm = JSON.parse(await readFile(new URL('keycloak-realm.json', import.meta.url), 'utf8'));
    await this.admin('POST', '', { ...change(realm), realm: name });
    return new Realm(this, name);
  }
}

/** Starts Keycloak from its unpacked folder; the first start of a folder takes up to a minute or two. */
export async function startKeycloak({ seconds = 300 } = {}) {
  const home = process.env.KEYCLOAK_HOME;
  if (!home) throw new Error('KEYCLOAK_HOME names no unpacked Keycloak; tests/run sets it');
  const [port] = await freePorts(1), base = `http://127.0.0.1:${port}`;
  const child = start('keycloak', join(home, 'bin/kc.sh'), ['start-dev', '--http-host=127.0.0.1', `--http-port=${port}`, '--db=dev-mem', '--cache=local', `--hostname=${base}`], {
    lastSignal: 'SIGTERM', // kc.sh hands TERM to java, and a KILL would leave java behind
    env: bareEnvironment({ KC_BOOTSTRAP_ADMIN_USERNAME: admin.user, KC_BOOTSTRAP_ADMIN_PASSWORD: admin.password, JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1' }),
  });
  try {
    const up = () => fetch(`${base}/realms/master`, { signal: AbortSignal.timeout(2000) }).then((response) => response.ok, () => false);
    await child.until(up, seconds, `answer at ${base}/realms/master`);
    return new Keycloak(base, child);
  } catch (error) {
    await child.stop('SIGTERM', 20);
    throw error;
  }
}
