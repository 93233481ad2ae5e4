// Tokens looked at and made by hand, so that no library stands between a test and the bytes.
import { createHmac, sign, timingSafeEqual } from 'node:crypto';

const base64url = (value) => Buffer.from(value).toString('base64url');

/** Header (0) or payload (1) of a compact JWS. */
export function part(token, index) { return JSON.parse(Buffer.from(token.split('.')[index], 'base64url').toString('utf8')); }

/** A compact JWS signed with HMAC-SHA256. */
export function signHs256(header, payload, secret) {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** Whether the last part is the HMAC-SHA256 of the first two. */
export function verifiesHs256(token, secret) {
  const [header, payload, signature] = token.split('.');
  const mine = createHmac('sha256', secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature ?? '', 'base64url');
  return given.length === mine.length && timingSafeEqual(given, mine);
}

/** A compact JWS signed with RSA PKCS#1 v1.5 and SHA-256. */
export function signRs256(header, payload, privateKey) {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${input}.${base64url(sign('sha256', Buffer.from(input), privateKey))}`;
}

/** A compact JWS signed with ECDSA on P-256 and SHA-256. */
export function signEs256(header, payload, privateKey) {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${input}.${base64url(sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }))}`;
}

/** The same token with one bit of its signature flipped. */
export function flipOneBit(token) {
  const [header, payload, signature] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  bytes[7] ^= 0x10;
  return `${header}.${payload}.${bytes.toString('base64url')}`;
}

/** The identity that the contract's section 4 derives for a subject. */
export function opaqueIdentity(key, namespace, subject) {
  const length = (text) => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(Buffer.byteLength(text)); return bytes; };
  const digest = createHmac('sha256', key).update(length(namespace)).update(namespace).update(length(subject)).update(subject).digest();
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  let bits = '', text = '';
  for (const byte of digest) bits += byte.toString(2).padStart(8, '0');
  for (let at = 0; at + 5 <= bits.length && text.length < 26; at += 5) text += alphabet[parseInt(bits.slice(at, at + 5), 2)];
  return `u-${text}`;
}
