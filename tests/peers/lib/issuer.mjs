// A small OpenID issuer inside the test process, for the tests that are about something else than a provider.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { signEs256, signRs256 } from './jwt.mjs';

const ALGORITHMS = {
  RS256: { sign: signRs256, pair: () => generateKeyPairSync('rsa', { modulusLength: 2048 }) },
  // Cheap to sign, for tests that make many tokens.
  ES256: { sign: signEs256, pair: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }) },
};

class Issuer {
  constructor(server, alg) {
    this.server = server;
    this.alg = alg;
    this.url = `http://127.0.0.1:${server.address().port}`;
    this.keys = [this.#freshKey('first')];
    server.on('request', (request, response) => this.#answer(request, response));
  }

  #freshKey(kid) {
    const { privateKey, publicKey } = ALGORITHMS[this.alg].pair();
    return { kid, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: this.alg, kid } };
  }

  #answer(request, response) {
    const documents = {
      '/.well-known/openid-configuration': () => ({ issuer: this.url, jwks_uri: `${this.url}/jwks`, response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: [this.alg] }),
      '/jwks': () => ({ keys: this.keys.map((key) => key.jwk) }),
    };
    const document = documents[request.url];
    if (!document) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document()));
  }

  /** An access token (RFC 9068) for `subject`, good for an hour, unlike every other one. */
  token(subject, more = {}) {
    const now = Math.floor(Date.now() / 1000), key = this.keys[0];
    const claims = { iss: this.url, sub: subject, aud: 'chat', client_id: 'test', iat: now, exp: now + 3600, jti: randomUUID(), ...more };
    return ALGORITHMS[this.alg].sign({ alg: this.alg, typ: 'at+jwt', kid: key.kid }, claims, key.privateKey);
  }

  /** Signs with a key of its own from now on; those before it stay published. */
  rotate() { this.keys.unshift(this.#freshKey(randomUUID())); }

  async close() { this.server.closeAllConnections(); this.server.close(); await once(this.server, 'close'); }
}

/** Starts the issuer on a free loopback port; `algorithm` is RS256 or ES256. */
export async function startIssuer({ algorithm = 'RS256' } = {}) {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return new Issuer(server, algorithm);
}

/** How usher's configuration names an issuer of a test; `more` goes over it. */
export function issuerSection(url, more = {}) { return { url, audiences: ['chat'], insecureHttp: true, ...more }; }
