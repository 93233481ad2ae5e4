// usher's token in the hands of Twilio's own libraries: PyPI twilio and npm twilio.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { flipOneBit, part } from '../lib/jwt.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { configuration, lay, run, sids, yaml } from '../lib/usher.mjs';

const require = createRequire(import.meta.url);
const twilio = require('twilio');
// npm twilio writes tokens and reads none; what it writes them with is the jsonwebtoken it brings along.
const jsonwebtoken = createRequire(require.resolve('twilio'))('jsonwebtoken');

function python(request) {
  const command = process.env.PEER_PYTHON ?? 'python3';
  const { status, stdout, stderr } = spawnSync(command, [fileURLToPath(new URL('helper.py', import.meta.url))], { input: JSON.stringify(request), encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, `helper.py: ${stderr}`);
  return JSON.parse(stdout);
}

// Each library by what the tests ask of it: `read` verifies and gives {header, payload} or {refused}; `write` makes the token
// the library would make of the same facts.
const libraries = {
  'PyPI twilio': {
    version: () => python({ do: 'decode', token: 'x', secret: 'x' }).version,
    read: (token, secret) => python({ do: 'decode', token, secret }),
    write: (facts) => python({ do: 'write', no_nbf: true, ...facts }),
    // usher writes `iat` (the docs of error 20101 ask for it), this library does not.
    absent: ['iat'],
  },
  'npm twilio': {
    version: () => require('twilio/package.json').version,
    read: (token, secret) => {
      try { return jsonwebtoken.verify(token, secret, { algorithms: ['HS256'], complete: true }); } catch (error) { return { refused: error.message }; }
    },
    write: ({ account, key, secret, identity, ttl, region, chat }) => {
      const { AccessToken } = twilio.jwt, token = new AccessToken(account, key, secret, { identity, ttl, region });
      token.addGrant(new AccessToken.ChatGrant({ serviceSid: chat.service_sid, pushCredentialSid: chat.push_credential_sid, deploymentRoleSid: chat.deployment_role_sid }));
      return libraries['npm twilio'].read(token.toJwt(), secret);
    },
    absent: [],
  },
};

const otherKey = { sid: `SK${'1'.repeat(32)}`, secret: 'the-secret-of-the-irish-api-key-0' };

async function sidecar(t) {
  const issuer = await startIssuer();
  t.after(() => issuer.close());
  const place = await lay(t, { issuers: [issuerSection(issuer.url)] });
  const otherSecret = join(place.secrets, 'other-secret');
  await writeFile(otherSecret, `${otherKey.secret}\n`, { mode: 0o600 });
  const base = configuration(place, { issuers: [issuerSection(issuer.url)] });
  base.twilio.services = {
    main: { sid: sids.service, pushCredentials: { ios: sids.ios } },
    ireland: { sid: sids.otherService, region: 'ie1', apiKey: { sid: otherKey.sid, secret: { file: otherSecret } }, pushCredentials: { ios: sids.ios } },
  };
  base.grants = [{ name: 'plain', service: 'main' }, { name: 'full', service: 'ireland', role: sids.role, ttl: '5m' }];
  await writeFile(place.configFile, yaml(base), { mode: 0o600 });
  const usher = await run(t, place);
  return { usher, token: async (query) => {
    const answer = await usher.exchange(issuer.token('alice'), { query });
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text);
  } };
}

// The two tokens: the barest, and one with all that a Conversations grant can hold, of another region and key.
const cases = {
  'a plain token': { query: '', facts: (usher) => ({ key: sids.key, secret: usher.secret, ttl: 900, chat: { service_sid: sids.service } }) },
  'a token with region, push credential and role': {
    query: '?service=ireland&platform=ios',
    facts: () => ({ key: otherKey.sid, secret: otherKey.secret, ttl: 300, region: 'ie1', chat: { service_sid: sids.otherService, push_credential_sid: sids.ios, deployment_role_sid: sids.role } }),
  },
};

for (const [name, library] of Object.entries(libraries)) {
  test(`${name} ${library.version()} reads usher's tokens, and refuses them with another secret or a flipped bit`, { timeout: 60_000 }, async (t) => {
    const { usher, token } = await sidecar(t);
    for (const { query, facts } of Object.values(cases)) {
      const { token: jwt, identity } = await token(query), { secret, key, chat } = facts(usher);
      const read = library.read(jwt, secret);
      assert.equal(read.refused, undefined);
      assert.deepEqual(read.payload.grants, { identity, chat });
      assert.equal(read.payload.iss, key);
      assert.equal(read.payload.sub, sids.account);
      assert.match(library.read(jwt, `${secret}x`).refused ?? 'accepted', /signature/i);
      assert.match(library.read(flipOneBit(jwt), secret).refused ?? 'accepted', /signature/i);
    }
    await usher.stop();
  });

  test(`${name} would write the same claims, but for the listed differences`, { timeout: 60_000 }, async (t) => {
    const { usher, token } = await sidecar(t);
    for (const [which, { query, facts }] of Object.entries(cases)) {
      const mine = await token(query), my = { header: part(mine.token, 0), payload: part(mine.token, 1) };
      const { payload: theirs, header: theirHeader } = library.write({ account: sids.account, identity: mine.identity, ...facts(usher) });
      assert.deepEqual(my.header, theirHeader, `${which}: header`);

      // Difference 1: `jti` is <key SID>-<unix seconds> with them; usher appends a random part, since two of theirs made in the
      // same second are the same, for different identities too.
      assert.match(theirs.jti, new RegExp(`^${theirs.iss}-\\d{10}$`));
      assert.match(my.payload.jti, new RegExp(`^${theirs.iss}-${my.payload.iat}-[A-Za-z0-9_-]+$`));
      // Difference 2: `iat`, where the library leaves it out.
      for (const claim of library.absent) { assert.ok(!(claim in theirs)); assert.ok(claim in my.payload); }
      // Difference 3: the moment; theirs was made a little later. The life is the same.
      const moment = theirs.iat ?? Number(theirs.jti.split('-')[1]);
      assert.ok(moment >= my.payload.iat && moment - my.payload.iat < 30, `${which}: made within the same half minute`);
      assert.equal(my.payload.exp - my.payload.iat, theirs.exp - moment, `${which}: life`);
      // Difference 4: PyPI twilio writes `nbf` unless told not to, and a clock that is behind then refuses the token (20105).
      assert.ok(!('nbf' in my.payload));

      const same = (payload) => { const { jti, iat, exp, ...rest } = payload; return rest; };
      assert.deepEqual(same(my.payload), same(theirs), `${which}: every other claim`);
      for (const claim of ['iat', 'exp']) assert.ok(Number.isInteger(my.payload[claim]), `${claim} is an integer`);
    }
    await usher.stop();
  });
}
