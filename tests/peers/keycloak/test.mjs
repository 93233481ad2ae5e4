// usher against Keycloak. KEYCLOAK_MINUTES is how long the renewal runs: ten (with Keycloak's default access tokens of 300 s)
// where CI=true, else one and a half with tokens of 30 s.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { opaqueIdentity, part } from '../lib/jwt.mjs';
import { steadyLoad, tally } from '../lib/load.mjs';
import { clientModule, conversationsToken, problem, serve } from '../lib/usher.mjs';
import { issuerSection } from '../lib/issuer.mjs';
import { startKeycloak } from '../lib/keycloak.mjs';

const minutes = Number(process.env.KEYCLOAK_MINUTES ?? (process.env.CI === 'true' ? 10 : 1.5));
const lifespan = minutes >= 10 ? 300 : 30;
let keycloak, corp;
before(async () => {
  keycloak = await startKeycloak();
  corp = await keycloak.realm('corp', (realm) => ({ ...realm, accessTokenLifespan: lifespan }));
}, { timeout: 330_000 });
after(() => keycloak?.child.stop('SIGTERM', 30), { timeout: 60_000 });

const forStaff = (keys) => ({
  issuers: [issuerSection(corp.issuer, { keys })],
  grants: [{ name: 'chat', when: "'chat' in claims.groups", service: 'main' }],
});

test('a Keycloak token with the group in it is worth a Conversations token, one without is not_entitled', { timeout: 60_000 }, async (t) => {
  const usher = await serve(t, forStaff());
  const alice = await corp.signIn('alice'), subject = part(alice.access_token, 1).sub;
  assert.deepEqual(part(alice.access_token, 1).groups.sort(), ['berlin', 'chat']);
  assert.equal(part(alice.access_token, 0).alg, 'RS256');
  const mine = opaqueIdentity(usher.identityKey, corp.issuer, subject);
  for (const token of [alice.access_token, alice.id_token]) assert.equal(conversationsToken(await usher.exchange(token), usher.secret).identity, mine);
  conversationsToken(await usher.exchangeForm(alice.access_token, 'access_token'), usher.secret);

  // The public client: ES256, no at+jwt; its ID token is for the client itself, not for usher's audience.
  const spa = await corp.signIn('alice', 'spa');
  assert.deepEqual([part(spa.access_token, 0).alg, part(spa.access_token, 0).typ], ['ES256', 'JWT']);
  assert.equal(conversationsToken(await usher.exchange(spa.access_token), usher.secret).identity, mine);
  problem(await usher.exchange(spa.id_token), 401, 'wrong_audience', 'ask_operator');

  const bob = await corp.signIn('bob');
  problem(await usher.exchange(bob.access_token), 403, 'not_entitled', 'ask_operator');
  await usher.stop();
});

test('rotating the realm\'s key loses no request, and a disabled key is refused within the refresh interval', { timeout: 120_000 }, async (t) => {
  const usher = await serve(t, forStaff({ refresh: '2s', cooldown: '1s' }));
  const old = (await corp.signIn('alice')).access_token;
  let current = old;
  const load = steadyLoad(20, (number, agent) => usher.exchange(number % 2 ? current : old, { agent }));
  await sleep(1000);
  await corp.rotate('rsa-2');
  current = (await corp.signIn('alice')).access_token;
  assert.notEqual(part(current, 0).kid, part(old, 0).kid, 'the new key signs');
  await sleep(4000);
  const answers = await load.stop();
  assert.equal(answers.filter((answer) => answer.status !== 200).length, 0, tally(answers));
  assert.ok(answers.length >= 60, `only ${answers.length} requests were sent`);

  await corp.disable('rsa-1');
  await sleep(5000);
  problem(await usher.exchange(old), 401, 'unknown_key', 'ask_operator');
  conversationsToken(await usher.exchange((await corp.signIn('alice')).access_token), usher.secret);
  await usher.stop();
});

test(`access tokens of ${lifespan} s are renewed for ${minutes} minutes without a 401`, { timeout: (minutes + 2) * 60_000 }, async (t) => {
  const usher = await serve(t, forStaff());
  let session = await corp.signIn('alice'), ends = Date.now() + session.expires_in * 1000, renewals = 0, renewing;
  assert.equal(session.expires_in, lifespan);
  // What a front-end's OpenID library does: the token is used until five seconds before its end.
  const current = (force) => {
    if (!force && Date.now() < ends - 5000) return session.access_token;
    renewing ??= corp.renew(session).then((next) => { session = next; ends = Date.now() + next.expires_in * 1000; renewals++; }).finally(() => { renewing = undefined; });
    return renewing.then(() => session.access_token);
  };
  const { tokenSource } = await clientModule(usher.url);
  const source = tokenSource({ url: `${usher.url}/conversations/token`, authorization: async ({ forceRefresh }) => `Bearer ${await current(forceRefresh)}` });

  const tokens = new Set(), identities = new Set(), end = Date.now() + minutes * 60_000;
  let rounds = 0;
  for (; Date.now() < end; rounds++) {
    const answer = await source.answer(); // rejects at any problem
    const { claims } = conversationsToken(await usher.exchange(await current()), usher.secret);
    tokens.add(answer.token);
    identities.add(answer.identity).add(claims.grants.identity);
    assert.ok(claims.exp - Date.now() / 1000 >= 238, `a token is worth at least 240 s: ${claims.exp - Date.now() / 1000}`);
    assert.ok(part(answer.token, 1).exp > Date.now() / 1000 + 60, 'the remembered token is far from its end');
    await sleep(1000);
  }
  assert.equal(identities.size, 1, 'one identity all the time');
  assert.ok(renewals >= Math.floor((minutes * 60) / lifespan) - 1, `${renewals} renewals at Keycloak`);
  assert.ok(tokens.size >= 2, `client.js has renewed: ${tokens.size} tokens in ${rounds} rounds`);
  const { text } = await usher.health('/metrics');
  const rows = text.split('\n').filter((row) => row.startsWith('usher_token_requests_total{'));
  assert.ok(rows.some((row) => row.includes('outcome="issued"')), 'the metric counts what was issued');
  assert.deepEqual(rows.filter((row) => !row.includes('outcome="issued"') && !/ 0(\.0)?$/.test(row)), [], 'usher refused nothing');
  await usher.stop();
});
