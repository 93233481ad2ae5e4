// A certified OpenID provider (npm oidc-provider) with RS256, PS256, ES256 and EdDSA keys, one client for each; JWT access
// tokens by resource indicators; keys rotated at run time.
//   node op.mjs PORT
//   POST /_test/rotate {"drop_old": false}   new keys sign from now on; the JWKS holds the old ones as well unless dropped
//   POST /_test/count                        how often the JWKS was asked for
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import * as oidc from 'oidc-provider';

const port = Number(process.argv[2]), issuer = `http://127.0.0.1:${port}`;
const groups = { alice: ['chat', 'staff'], bob: [] };
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

let generation = 0;
function freshKeys() {
  generation++;
  const jwk = (type, options, alg) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: `${alg.toLowerCase()}-${generation}` });
  return [jwk('rsa', { modulusLength: 2048 }, 'RS256'), jwk('rsa', { modulusLength: 2048 }, 'PS256'), jwk('ec', { namedCurve: 'P-256' }, 'ES256'), jwk('ed25519', undefined, 'EdDSA')];
}
let keys = freshKeys(), fetches = 0;

const client = (alg) => ({
  client_id: `chat-${alg.toLowerCase()}`, client_secret: 'op-secret-for-tests-only', application_type: 'native',
  token_endpoint_auth_method: 'client_secret_basic', grant_types: ['authorization_code', 'client_credentials'], response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'], // native and loopback: any port passes (RFC 8252, 7.3)
  id_token_signed_response_alg: alg, scope: 'openid email groups',
});

// One store for all generations of keys: the built-in memory adapter starts empty for every Provider, so that a rotation
// would end every session.
const rows = new Map(), index = new Map();
class Store {
  constructor(model) { this.key = (id) => `${model}:${id}`; }
  async upsert(id, payload, ttl) {
    rows.set(this.key(id), { payload, end: ttl ? Date.now() + ttl * 1000 : Infinity });
    if (payload.uid) index.set(`uid:${payload.uid}`, id);
    if (payload.grantId) index.set(`grant:${payload.grantId}`, [...(index.get(`grant:${payload.grantId}`) ?? []), this.key(id)]);
  }
  async find(id) { const row = rows.get(this.key(id)); return row && row.end > Date.now() ? row.payload : undefined; }
  async findByUid(uid) { return this.find(index.get(`uid:${uid}`)); }
  async findByUserCode() { return undefined; }
  async consume(id) { const row = rows.get(this.key(id)); if (row) row.payload.consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { rows.delete(this.key(id)); }
  async revokeByGrantId(grant) { for (const key of index.get(`grant:${grant}`) ?? []) rows.delete(key); index.delete(`grant:${grant}`); }
}

const cookieKeys = [randomBytes(32).toString('hex')];
function build() {
  const provider = new oidc.Provider(issuer, {
    adapter: Store,
    clients: ALGORITHMS.map(client),
    jwks: { keys },
    cookies: { keys: cookieKeys },
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    scopes: ['openid', 'email', 'groups'],
    claims: { openid: ['sub', 'sid'], email: ['email', 'email_verified'], groups: ['groups'] },
    conformIdTokenClaims: false, // claims of granted scopes are in the ID token as well
    ttl: { AccessToken: 600, IdToken: 600, ClientCredentials: 600, Session: 3600, Grant: 3600, Interaction: 600 },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true, groups: groups[id] ?? [] }) }),
    extraTokenClaims: (ctx, token) => (token.accountId ? { groups: groups[token.accountId] ?? [] } : undefined),
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, resource, { idTokenSignedResponseAlg: alg }) => {
          if (resource !== 'urn:chat') throw new oidc.errors.InvalidTarget();
          return { scope: 'chat', audience: 'chat', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg } } };
        },
      },
    },
  });
  for (const event of ['server_error', 'authorization.error', 'grant.error']) provider.on(event, (ctx, error) => console.error(event, error?.stack ?? error));
  return provider.callback();
}

let handle = build();
createServer(async (request, response) => {
  const json = (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (request.url === '/jwks') fetches++;
  if (request.url === '/_test/count') return json({ jwks: fetches });
  if (request.url !== '/_test/rotate') return handle(request, response);
  let body = '';
  for await (const piece of request) body += piece;
  keys = [...freshKeys(), ...(JSON.parse(body || '{}').drop_old ? [] : keys)]; // the first key of an algorithm signs
  handle = build();
  return json({ kids: keys.map((key) => key.kid) });
}).listen(port, '127.0.0.1', () => console.log(`ready ${issuer}`));
