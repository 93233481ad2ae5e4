// The demo page of `usher dev` in headless Chromium. Screenshots go to DEMO_SHOTS, by default among the logs.
import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { chromium } from 'playwright-core';
import { logFolder } from '../lib/process.mjs';
import { startDev } from '../lib/dev.mjs';
import { folder } from '../lib/usher.mjs';

const shots = process.env.DEMO_SHOTS ?? join(logFolder, 'screenshots');
await mkdir(shots, { recursive: true });

async function browser(t, options = {}) {
  const executablePath = process.env.CHROMIUM ?? execFileSync('sh', ['-c', 'command -v chromium']).toString().trim();
  const profile = await folder(t, 'chromium');
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, viewport: { width: 1280, height: 900 }, ...options,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  t.after(async () => { await context.close(); await rm(profile, { recursive: true, force: true }); });
  context.setDefaultTimeout(20_000);
  const page = context.pages()[0] ?? await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') page.faults.push(message.text()); });
  page.on('response', (response) => { if (response.status() >= 400) page.faults.push(`${response.status()} ${response.url()}`); });
  page.on('request', (request) => { if (!/^(https?:\/\/(127\.0\.0\.1|localhost)[:/]|data:|blob:)/.test(request.url())) page.faults.push(`asks elsewhere: ${request.url()}`); });
  return page;
}

async function signIn(page, user, button = '#sign-in') {
  await page.click(button);
  await page.click(`[data-user=${user}]`);
  await page.waitForFunction(() => document.querySelector('#identity')?.textContent.trim().startsWith('u-'));
  return identity(page);
}
const identity = async (page, place = '#identity') => (await page.textContent(place)).trim();
const json = async (page, place) => JSON.parse(await page.textContent(place));
const fitsItsWidth = (page) => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

test('alice signs in and sees her token; a reload and another device keep her identity, and bob has another', { timeout: 120_000 }, async (t) => {
  const dev = await startDev(t), page = await browser(t);
  await page.goto(dev.url);
  await page.screenshot({ path: join(shots, 'light-signed-out.png'), fullPage: true });
  const alice = await signIn(page, 'alice');
  assert.match(alice, /^u-[a-z2-7]{26}$/);
  assert.equal((await json(page, '#upstream-claims')).sub, 'alice');
  const chat = JSON.stringify(await json(page, '#chat-token'));
  for (const piece of [`"identity":"${alice}"`, '"cty":"twilio-fpa;v=1"', '"service_sid":"IS']) assert.ok(chat.includes(piece), `${piece} is in ${chat}`);
  assert.ok(!page.url().includes('code='), 'the code does not stay in the address');

  await page.reload();
  await page.waitForFunction(() => document.querySelector('#identity')?.textContent.trim().startsWith('u-'));
  assert.equal(await identity(page), alice, 'after a reload');

  await page.click('#other-device');
  await page.waitForFunction(() => document.querySelector('#other-identity')?.textContent.trim());
  assert.equal(await identity(page, '#other-identity'), alice, 'on another device');
  await page.screenshot({ path: join(shots, 'light.png'), fullPage: true });

  await page.click('#switch-user');
  await page.click('[data-user=bob]');
  await page.waitForFunction((hers) => { const text = document.querySelector('#identity')?.textContent.trim(); return text?.startsWith('u-') && text !== hers; }, alice);
  assert.equal((await json(page, '#upstream-claims')).sub, 'bob');
  assert.deepEqual(page.faults, []);

  const afresh = await browser(t);
  await afresh.goto(dev.url);
  assert.equal(await signIn(afresh, 'alice'), alice, 'in another browser');
  assert.deepEqual(afresh.faults, []);
});

for (const [name, options] of Object.entries({
  dark: { colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  'phone-dark': { viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'dark' },
})) {
  test(`the page fits and works: ${name}`, { timeout: 120_000 }, async (t) => {
    const dev = await startDev(t), page = await browser(t, options);
    await page.goto(dev.url);
    assert.ok(await fitsItsWidth(page), 'no sideways scrolling before signing in');
    await page.click('#sign-in');
    await page.waitForSelector('[data-user=alice]');
    await page.screenshot({ path: join(shots, `${name}-picker.png`), fullPage: true });
    assert.ok(await fitsItsWidth(page), 'no sideways scrolling at the provider');
    await page.click('[data-user=alice]');
    await page.waitForFunction(() => document.querySelector('#identity')?.textContent.trim().startsWith('u-'));
    await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
    assert.ok(await fitsItsWidth(page), 'no sideways scrolling when signed in');
    const background = await page.evaluate(() => [document.body, document.documentElement].map((element) => getComputedStyle(element).backgroundColor).find((colour) => !/, 0\)$|transparent/.test(colour)));
    const light = background.match(/[\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) > 382;
    assert.equal(light, options.colorScheme !== 'dark', `background ${background}`);
    assert.deepEqual(page.faults, []);
  });
}

test('without a provider the page says so, and does not hang', { timeout: 60_000 }, async (t) => {
  const dev = await startDev(t), page = await browser(t);
  await page.goto(dev.url);
  await page.route('**/.well-known/openid-configuration', (route) => route.abort());
  await page.click('#sign-in');
  await page.waitForSelector('[role=alert]:not([hidden])');
  await page.screenshot({ path: join(shots, 'light-error.png'), fullPage: true });
});
