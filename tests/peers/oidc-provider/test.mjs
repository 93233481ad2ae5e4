// usher against npm oidc-provider, a certified OpenID provider.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bareEnvironment, freePorts, start } from '../lib/process.mjs';
import { opaqueIdentity, part, signRs256 } from '../lib/jwt.mjs';
import { steadyLoad, tally } from '../lib/load.mjs';
import { conversationsToken, problem, serve } from '../lib/usher.mjs';
import { issuerSection } from '../lib/issuer.mjs';
import { login, machineToken } from './login.mjs';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const audiences = ['chat', ...ALGORITHMS.map((alg) => `chat-${alg.toLowerCase()}`)];

async function provider(t) {
  const [port] = await freePorts(1);
  const child = start('op', process.execPath, [fileURLToPath(new URL('op.mjs', import.meta.url)), String(port)], { env: bareEnvironment() });
  t.after(() => child.stop('SIGKILL'));
  await child.line(/^ready /);
  const url = `http://127.0.0.1:${port}`;
  const post = async (path, body) => (await fetch(url + path, { method: 'POST', body })).json();
  return { url, child, rotate: (dropOld) => post('/_test/rotate', JSON.stringify({ drop_old: dropOld })), fetches: async () => (await post('/_test/count')).jwks };
}
const withProvider = (op, keys) => ({ issuers: [issuerSection(op.url, { audiences, keys })] });

test('ID tokens and JWT access tokens of every algorithm become Conversations tokens of one identity', { timeout: 120_000 }, async (t) => {
  const op = await provider(t);
  const usher = await serve(t, withProvider(op));
  const alice = opaqueIdentity(usher.identityKey, op.url, 'alice');
  for (const alg of ALGORITHMS) {
    const tokens = await login(op.url, 'alice', `chat-${alg.toLowerCase()}`);
    for (const [kind, token] of [['access_token', tokens.access_token], ['id_token', tokens.id_token]]) {
      await t.test(`${alg} ${kind}`, async () => {
        assert.equal(part(token, 0).alg, alg, 'what the provider signed with');
        const bearer = conversationsToken(await usher.exchange(token), usher.secret);
        assert.equal(bearer.identity, alice);
        assert.equal(bearer.claims.grants.identity, alice);
        const form = conversationsToken(await usher.exchangeForm(token, kind), usher.secret);
        assert.equal(form.claims.grants.identity, alice);
        assert.equal(form.issued_token_type, 'urn:ietf:params:oauth:token-type:jwt');
        assert.equal(form.token_type, 'N_A');
        const other = kind === 'id_token' ? 'access_token' : 'id_token';
        const crossed = await usher.exchangeForm(token, other);
        assert.equal(crossed.status, 400, 'subject_token_type must agree with the kind');
        assert.equal(JSON.parse(crossed.text).error, 'invalid_request');
      });
    }
  }
  const bob = conversationsToken(await usher.exchange((await login(op.url, 'bob', 'chat-rs256')).access_token), usher.secret);
  assert.equal(bob.identity, opaqueIdentity(usher.identityKey, op.url, 'bob'));
  await usher.stop();
});

test('rotating the provider\'s keys while 50 requests a second run loses none', { timeout: 120_000 }, async (t) => {
  const op = await provider(t);
  // Three rotations need three refetches within seconds; in the field the cooldown is 30 s and a rotation is rare.
  const usher = await serve(t, withProvider(op, { cooldown: '1s' }));
  const known = await Promise.all(['alice', 'bob', 'carol'].map(async (user) => (await login(op.url, user, 'chat-rs256')).access_token));
  const kids = new Set();
  const load = steadyLoad(50, async (number, agent) => {
    // Every fifth request bears a token made that very moment, with whatever key the provider signs with by then.
    const fresh = number % 5 === 0;
    const token = fresh ? await machineToken(op.url, `chat-${ALGORITHMS[(number / 5) % 4].toLowerCase()}`) : known[number % known.length];
    if (fresh) kids.add(part(token, 0).kid);
    return usher.exchange(token, { agent });
  });
  for (let rotation = 0; rotation < 3; rotation++) { await sleep(3000); await op.rotate(false); }
  await sleep(3000);
  const answers = await load.stop();
  assert.ok(answers.length >= 500, `only ${answers.length} requests were sent`);
  assert.equal(kids.size, 16, `four generations of four keys have signed: ${[...kids]}`);
  const lost = answers.filter((answer) => answer.status !== 200);
  assert.deepEqual(lost.map((answer) => answer.text ?? String(answer.error)), [], tally(answers));
  for (const answer of answers) conversationsToken(answer, usher.secret);
  assert.ok(await op.fetches() <= 12, `the rotations cost ${await op.fetches()} fetches of the keys`);
  await usher.stop();
});

test('a key the provider has dropped is refused within the refresh interval, without any unknown key being seen', { timeout: 60_000 }, async (t) => {
  const op = await provider(t);
  const usher = await serve(t, withProvider(op, { refresh: '2s', cooldown: '1s' }));
  const { access_token: old } = await login(op.url, 'alice', 'chat-rs256');
  conversationsToken(await usher.exchange(old), usher.secret);
  await op.rotate(true);
  await sleep(5000);
  problem(await usher.exchange(old), 401, 'unknown_key', 'ask_operator');
  await usher.stop();
});

test('with the provider down known users go on, and an unknown key is 503 with Retry-After, not 401', { timeout: 90_000 }, async (t) => {
  const op = await provider(t);
  const usher = await serve(t, withProvider(op, { cooldown: '1s' }));
  const tokens = await login(op.url, 'alice', 'chat-es256'), unseen = await machineToken(op.url, 'chat-rs256');
  const before = conversationsToken(await usher.exchange(tokens.access_token), usher.secret);
  await op.child.stop('SIGKILL');
  await sleep(1500);

  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 }), now = Math.floor(Date.now() / 1000);
  const unknown = () => usher.exchange(signRs256({ alg: 'RS256', typ: 'at+jwt', kid: 'never-published' }, { iss: op.url, sub: 'alice', aud: 'chat', client_id: 'x', iat: now, exp: now + 600, jti: 'x' }, privateKey));
  for (let round = 0; round < 3; round++) {
    const answer = await unknown();
    problem(answer, 503, 'issuer_unavailable', 'retry');
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    assert.equal(conversationsToken(await usher.exchange(tokens.access_token), usher.secret).identity, before.identity, 'a known token');
    assert.equal(conversationsToken(await usher.exchange(tokens.id_token), usher.secret).identity, before.identity, 'a token not seen before, a known user');
    conversationsToken(await usher.exchange(unseen), usher.secret);
    await sleep(1500);
  }
  assert.equal((await usher.health('/readyz')).status, 200, 'readiness stays');
  await usher.stop();
});

test('usher starts with the provider down and serves when it comes', { timeout: 60_000 }, async (t) => {
  const op = await provider(t);
  const { access_token: token } = await login(op.url, 'alice', 'chat-rs256');
  op.child.signal('SIGSTOP'); // a provider that takes connections and never answers
  const config = withProvider(op, { fetchTimeout: '1s', cooldown: '1s' });
  const usher = await serve(t, config, { ready: false });
  assert.equal((await usher.health('/livez')).status, 200);
  const notYet = await usher.health('/readyz');
  assert.equal(notYet.status, 503, 'readiness waits for the first keys');
  problem(await usher.exchange(token), 503, 'issuer_unavailable', 'retry');
  op.child.signal('SIGCONT');
  await usher.child.until(async () => (await usher.health('/readyz')).status === 200, 30, '/readyz 200 after the provider came');
  conversationsToken(await usher.exchange(token), usher.secret);
  await usher.stop();
});
