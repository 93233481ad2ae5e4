// Authorization code with PKCE at op.mjs without a browser: a cookie jar walks the login and the consent page.
import { createHash, randomBytes } from 'node:crypto';

const redirect = 'http://127.0.0.1:5555/callback';
const base64url = (bytes) => Buffer.from(bytes).toString('base64url');

function browserLike() {
  const cookies = new Map();
  return async (url, init = {}) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { redirect: 'manual', ...init, headers: { ...init.headers, cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(';'), at = pair.indexOf('=');
      if (/expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(pair.slice(0, at)); else cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return response;
  };
}

async function tokenEndpoint(issuer, client, form) {
  const authorization = `Basic ${Buffer.from(`${client}:op-secret-for-tests-only`).toString('base64')}`;
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers: { authorization }, body: form });
  const answer = await response.json();
  if (response.status !== 200) throw new Error(`the provider's token endpoint: ${JSON.stringify(answer)}`);
  return answer;
}

/** Signs `user` in; gives {access_token, id_token, …} with a JWT access token for the audience `chat`. */
export async function login(issuer, user, client) {
  const go = browserLike(), verifier = base64url(randomBytes(32)), target = (response) => new URL(response.headers.get('location'), issuer).href;
  const query = new URLSearchParams({
    response_type: 'code', client_id: client, redirect_uri: redirect, scope: 'openid email groups chat', resource: 'urn:chat', state: 's', nonce: 'n',
    code_challenge: base64url(createHash('sha256').update(verifier).digest()), code_challenge_method: 'S256',
  });
  let response = await go(`${issuer}/auth?${query}`);
  for (let step = 0; step < 10 && !target(response).startsWith(redirect); step++) {
    const url = target(response);
    if (!url.includes('/interaction/')) { response = await go(url); continue; }
    const page = await (await go(url)).text(), prompt = /name="prompt" value="(\w+)"/.exec(page)[1], action = /<form[^>]*action="([^"]+)"/.exec(page)[1];
    response = await go(action, { method: 'POST', body: new URLSearchParams({ prompt, login: user, password: 'x' }) });
  }
  const code = new URL(target(response)).searchParams.get('code');
  if (!code) throw new Error(`no code: ${target(response)}`);
  return tokenEndpoint(issuer, client, new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: verifier, resource: 'urn:chat' }));
}

/** A fresh JWT access token of the client itself, in one request. */
export async function machineToken(issuer, client) {
  return (await tokenEndpoint(issuer, client, new URLSearchParams({ grant_type: 'client_credentials', resource: 'urn:chat', scope: 'chat' }))).access_token;
}
