// What one would write instead of running usher: Express takes the request, jose checks the token with the
// provider's keys kept in memory, twilio signs the Conversations token. No audit line, no metrics, no store.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import express from 'express';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import twilio from 'twilio';

const { PORT, ISSUER, AUDIENCE, NAMESPACE, IDENTITY_KEY_FILE, API_SECRET_FILE } = process.env;
const { ACCOUNT_SID, API_KEY_SID, SERVICE_SID } = process.env;
const { AccessToken } = twilio.jwt;
const identityKey = readFileSync(IDENTITY_KEY_FILE);
const apiSecret = readFileSync(API_SECRET_FILE, 'utf8');
const keys = createRemoteJWKSet(new URL(`${ISSUER}/jwks`));
const ttl = 900;

function framed(text) {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

// The identity that usher gives the same subject, so that both answers pass the same check.
function identityOf(subject) {
  const digest = createHmac('sha256', identityKey).update(framed(NAMESPACE)).update(framed(subject)).digest();
  let text = '';
  for (let bit = 0; text.length < 26; bit += 5) {
    const window = (digest[bit >> 3] << 8) | digest[(bit >> 3) + 1];
    text += 'abcdefghijklmnopqrstuvwxyz234567'[(window >> (11 - (bit & 7))) & 31];
  }
  return `u-${text}`;
}

const app = express();
app.post('/conversations/token', async (request, response) => {
  const bearer = request.get('authorization')?.match(/^Bearer (.+)$/)?.[1];
  if (!bearer) return response.status(401).json({ code: 'missing_token' });
  let claims;
  try {
    ({ payload: claims } = await jwtVerify(bearer, keys, { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'] }));
  } catch {
    return response.status(401).json({ code: 'malformed_token' });
  }
  const identity = identityOf(claims.sub);
  const token = new AccessToken(ACCOUNT_SID, API_KEY_SID, apiSecret, { identity, ttl });
  token.addGrant(new AccessToken.ChatGrant({ serviceSid: SERVICE_SID }));
  const now = Math.floor(Date.now() / 1000);
  response.set('Cache-Control', 'no-store').json({
    token: token.toJwt(),
    identity,
    service_sid: SERVICE_SID,
    expires_in: ttl,
    expires_at: new Date((now + ttl) * 1000).toISOString(),
    refresh_in: ttl - 210,
    refresh_at: new Date((now + ttl - 210) * 1000).toISOString(),
  });
});
app.listen(Number(PORT), '127.0.0.1');
