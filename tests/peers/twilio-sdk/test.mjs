// usher's token, fetched through usher's own client.js, in the real client SDK (npm @twilio/conversations).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '@twilio/conversations';
import { flipOneBit, opaqueIdentity, part, signHs256 } from '../lib/jwt.mjs';
import { eventually } from '../lib/process.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { clientModule, serve, sids } from '../lib/usher.mjs';
import { fault, startTwilsock } from './twilsock.mjs';

async function stage(t) {
  const issuer = await startIssuer();
  t.after(() => issuer.close());
  const usher = await serve(t, { issuers: [issuerSection(issuer.url)] });
  const twilsock = await startTwilsock({ secret: usher.secret, account: sids.account, key: sids.key, service: sids.service });
  t.after(() => twilsock.close());
  const { tokenSource } = await clientModule(usher.url);
  const calls = [];
  const source = tokenSource({
    url: `${usher.url}/conversations/token`,
    authorization: async (asked) => { calls.push(asked); return `Bearer ${issuer.token('alice')}`; },
  });
  return { issuer, usher, twilsock, source, calls };
}

function connect(t, token, twilsock) {
  const client = new Client(token, { Twilsock: { uri: twilsock.uri }, Sync: { enableSessionStorage: false }, logLevel: 'silent' });
  client.errors = [];
  client.on('connectionError', (error) => client.errors.push(error));
  client.on('stateChanged', (state) => { client.started = state; });
  t.after(() => client.shutdown().catch(() => undefined));
  return client;
}

test('the real SDK connects with the token of client.js, and at tokenAboutToExpire a new token of the same identity is on the wire', { timeout: 60_000 }, async (t) => {
  const { usher, issuer, twilsock, source, calls } = await stage(t);
  const alice = opaqueIdentity(usher.identityKey, issuer.url, 'alice');
  const [token, again] = await Promise.all([source.get(), source.get()]);
  assert.equal(token, again);
  assert.equal(calls.length, 1, 'one request however many ask');
  assert.equal((await source.answer()).identity, alice);

  const client = connect(t, token, twilsock);
  const stop = source.keepFresh(client);
  await eventually('initialized', () => client.started === 'initialized', 20);
  assert.equal(client.connectionState, 'connected');
  assert.equal(client.user.identity, alice);
  assert.deepEqual(twilsock.seen, [{ method: 'init', token, fault: undefined }]);

  let told = 0;
  client.on('tokenAboutToExpire', () => told++);
  twilsock.pushTokenAboutToExpire();
  await eventually('an update on the wire', () => twilsock.seen.length === 2, 20);
  assert.equal(told, 1);
  const [first, second] = twilsock.seen;
  assert.equal(second.method, 'update');
  assert.equal(second.fault, undefined);
  assert.notEqual(part(second.token, 1).jti, part(first.token, 1).jti, 'a new jti');
  assert.equal(part(second.token, 1).grants.identity, alice);
  assert.equal(calls.length, 2, 'the front-end was asked for its upstream token again');
  await eventually('the new token is remembered', async () => await source.get() === second.token);
  assert.equal(client.connectionState, 'connected');

  stop();
  twilsock.pushTokenAboutToExpire();
  await eventually('the SDK heard it again', () => told === 2);
  await new Promise((done) => setTimeout(done, 1500));
  assert.equal(twilsock.seen.length, 2, 'after stop() nothing is renewed');
  await client.shutdown();
  await usher.stop();
});

test('a token with one flipped bit is denied, and the SDK stays out', { timeout: 60_000 }, async (t) => {
  const { usher, twilsock, source } = await stage(t);
  const client = connect(t, flipOneBit(await source.get()), twilsock);
  await eventually('denied', () => client.connectionState === 'denied', 20);
  assert.deepEqual(twilsock.seen.map((seen) => seen.fault), [20107]);
  assert.equal(client.errors[0].errorCode, 20107);
  assert.ok(client.errors[0].terminal);
  await usher.stop();
});

test('a client that was denied before it ever initialised is replaced by keepFresh with one that connects', { timeout: 60_000 }, async (t) => {
  const { usher, issuer, twilsock, source } = await stage(t);
  const denied = connect(t, flipOneBit(await source.get()), twilsock);
  // This SDK cannot initialise after its first token was denied: updateToken() connects and then throws. So the application
  // builds a new client, which is what onReplace is for.
  let replacement;
  const stop = source.keepFresh(denied, { onReplace: (token) => (replacement = connect(t, token, twilsock)) });
  await eventually('a new client', () => replacement, 30);
  await eventually('initialized', () => replacement.started === 'initialized', 20);
  assert.equal(replacement.user.identity, opaqueIdentity(usher.identityKey, issuer.url, 'alice'));
  assert.equal(twilsock.seen[0].fault, 20107);
  assert.equal(twilsock.seen.at(-1).fault, undefined);
  twilsock.pushTokenAboutToExpire();
  await eventually('the new client is kept fresh as well', () => twilsock.seen.at(-1).method === 'update' && twilsock.seen.at(-1).fault === undefined, 20);
  stop();
  // The denied one has connected with the good token behind its own exception; shut down while it starts up it would reject a
  // promise that nobody can catch.
  await eventually('the denied client has settled', () => denied.started === 'initialized', 20);
  await replacement.shutdown();
  await usher.stop();
});

test('the Twilsock server of this test does tell good tokens from bad ones', () => {
  const now = 1_800_000_000, expected = { secret: 's'.repeat(32), account: sids.account, key: sids.key, service: sids.service };
  const header = { typ: 'JWT', alg: 'HS256', cty: 'twilio-fpa;v=1' };
  const payload = { jti: 'j', iss: sids.key, sub: sids.account, iat: now, exp: now + 900, grants: { identity: 'u-1', chat: { service_sid: sids.service } } };
  const of = (h, p, secret = expected.secret) => fault(signHs256({ ...header, ...h }, { ...payload, ...p }, secret), expected, now);
  assert.equal(of({}, {}), undefined);
  assert.equal(of({}, {}, 'x'.repeat(32)), 20107);
  assert.equal(of({ cty: undefined }, {}), 20102);
  assert.equal(of({ typ: 'at+jwt' }, {}), 20102);
  assert.equal(of({}, { exp: now }), 20104);
  assert.equal(of({}, { exp: now + 90_000 }), 20104);
  assert.equal(of({}, { nbf: now + 60 }), 20105);
  assert.equal(of({}, { iss: sids.account }), 20103);
  assert.equal(of({}, { grants: { identity: 'u-1' } }), 20106);
  assert.equal(of({}, { grants: { identity: '', chat: { service_sid: sids.service } } }), 20106);
  assert.equal(of({}, { grants: { identity: 'u-1', chat: { service_sid: sids.otherService } } }), 20106);
  assert.equal(fault('not-a-jwt', expected, now), 20101);
});
