// 1 000 concurrent tokens with random key ids, while users with known keys go on, and a new key is published in the midst.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { part, signRs256 } from '../lib/jwt.mjs';
import { eventually } from '../lib/process.mjs';
import { steadyLoad, tally } from '../lib/load.mjs';
import { issuerSection, startIssuer } from '../lib/issuer.mjs';
import { serve } from '../lib/usher.mjs';

const RATE = 200, QUIET = 20_000, LOUD = 20_000, STORM = 1_000, COOLDOWN = 4_000, SLOW = 3_000;

const wait = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });

/** Counts the requests for keys, and answers them only after `delay` milliseconds. */
function slowKeys(issuer) {
  const [answer] = issuer.server.listeners('request'), watched = { times: [], delay: 0 };
  issuer.server.removeAllListeners('request').on('request', (request, response) => {
    if (request.url !== '/jwks') return answer(request, response);
    watched.times.push(performance.now());
    return setTimeout(() => answer(request, response), watched.delay);
  });
  return watched;
}

/** The `share` quantile of how long the answers took. */
function quantile(answers, share) {
  const sorted = answers.map((answer) => answer.ms).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

test('1 000 concurrent unknown keys cost one request for keys a cooldown, a new key is accepted within one, and known keys do not wait', { timeout: 100_000 }, async (t) => {
  const issuer = await startIssuer();
  t.after(() => issuer.close());
  const keys = slowKeys(issuer);
  const usher = await serve(t, { issuers: [issuerSection(issuer.url, { keys: { cooldown: `${COOLDOWN / 1000}s` } })] });

  // New tokens of a known key, so that every one is verified; and the storm's, which bear a good form and a random kid.
  const known = Array.from({ length: (RATE * (QUIET + LOUD)) / 1000 + 1_000 }, (_, n) => issuer.token(`user-${n % 50}`));
  const storm = Array.from({ length: STORM }, () => {
    const key = issuer.keys[0], token = issuer.token('mallory');
    return signRs256({ ...part(token, 0), kid: randomUUID() }, part(token, 1), key.privateKey);
  });

  let next = 0;
  const load = () => steadyLoad(RATE, (_, agent) => usher.exchange(known[next++ % known.length], { agent }));
  const calm = load();
  await wait(QUIET);
  const quiet = await calm.stop();

  // The keys are slow to come, so that all 1 000 wait at the same time.
  keys.delay = SLOW;
  keys.times.length = 0;
  const going = load(), begun = performance.now();
  const storming = new Worker(new URL('./storm.mjs', import.meta.url), { workerData: { url: usher.url, tokens: storm, spread: 2_000 } });
  const [{ most, tally: answers }] = await once(storming, 'message');
  await wait(Math.max(0, LOUD - (performance.now() - begun)));
  const during = await going.stop();

  assert.ok(most >= STORM * 0.9, `${most} of ${STORM} were concurrent`);
  assert.equal(answers, `401 × ${STORM}`, 'unknown keys, and the issuer answers');
  assert.equal(tally(during), `200 × ${during.length}`, 'no user with a known key is refused');
  assert.ok(keys.times.length >= 1, 'the storm asked for keys');
  for (let n = 1; n < keys.times.length; n++) {
    const pause = keys.times[n] - keys.times[n - 1];
    assert.ok(pause >= COOLDOWN, `two requests for keys lie ${Math.round(pause)} ms apart, and the cooldown is ${COOLDOWN} ms`);
  }

  // A key published while the storm goes on.
  keys.delay = 0;
  issuer.rotate();
  const published = performance.now(), token = issuer.token('user-1');
  const more = steadyLoad(50, (n, agent) => usher.exchange(storm[n % STORM], { agent }));
  await eventually('the new key is accepted', async () => (await usher.exchange(token)).status === 200, COOLDOWN / 1000 + 10);
  const took = performance.now() - published;
  await more.stop();
  // The cooldown may have begun just before the key was published.
  assert.ok(took <= COOLDOWN + SLOW, `accepted after ${Math.round(took)} ms`);

  // A figure, and no assertion: on a busy machine it says more of the machine.
  const [before, amid] = [quantile(quiet, 0.99), quantile(during, 0.99)];
  t.diagnostic(`known keys at ${RATE}/s: p50 ${quantile(quiet, 0.5).toFixed(2)} ms quiet, ${quantile(during, 0.5).toFixed(2)} ms in the storm; p99 ${before.toFixed(2)} ms quiet, ${amid.toFixed(2)} ms in the storm (${(amid / before).toFixed(2)} ×)`);
  t.diagnostic(`${most} waited at once; ${keys.times.length} requests for keys in all; the new key was accepted after ${Math.round(took)} ms (cooldown ${COOLDOWN} ms)`);
  await usher.stop();
});
