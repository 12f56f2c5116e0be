// Tokens by RFC 7519, made without the server's code.

import { createHmac } from 'node:crypto';

export const SECRET = 'a secret that is used in these tests only';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function token({ alg = 'HS256', secret = SECRET, sub = 'ada', room, expiresInS = 600, permissions, name } = {}) {
  const claims = { sub, name, room, exp: Math.floor(Date.now() / 1000) + expiresInS, permissions };
  const signed = `${part({ alg, typ: 'JWT' })}.${part(claims)}`;
  const signature = alg === 'none' ? '' : createHmac('sha256', secret).update(signed).digest('base64url');
  return `${signed}.${signature}`;
}
