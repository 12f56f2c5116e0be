// The address family of a run: `LEAT_FAMILY=ipv4` or `ipv6`; without it both, as the browser and the machine
// select.

import { networkInterfaces } from 'node:os';

const FAMILY = process.env.LEAT_FAMILY;
if (![undefined, 'ipv4', 'ipv6'].includes(FAMILY)) throw new Error(`LEAT_FAMILY=${FAMILY}: expected ipv4 or ipv6`);

export const IS_IPV6 = FAMILY === 'ipv6';

/** This host's address, where one is enough. */
export const LOOPBACK = IS_IPV6 ? '::1' : '127.0.0.1';

/** The address as written in URLs and in options with a port. */
export const LOOPBACK_HOST = IS_IPV6 ? '[::1]' : '127.0.0.1';

/** The addresses that the servers listen on. Containers often have no IPv6. */
export function loopback() {
  if (FAMILY !== undefined) return [LOOPBACK];
  const addresses = Object.values(networkInterfaces()).flatMap((many) => many.map(({ address }) => address));
  return ['127.0.0.1', '::1'].filter((address) => address === '127.0.0.1' || addresses.includes(address));
}
