// Over which family of addresses a run goes: `LEAT_FAMILY=ipv4` or `ipv6`; over both where it is not said, as browsers and machines like it.

import { networkInterfaces } from 'node:os';

const FAMILY = process.env.LEAT_FAMILY;
if (![undefined, 'ipv4', 'ipv6'].includes(FAMILY)) throw new Error(`LEAT_FAMILY=${FAMILY}: expected ipv4 or ipv6`);

export const IS_IPV6 = FAMILY === 'ipv6';

/** This host's address, where one is enough. */
export const LOOPBACK = IS_IPV6 ? '::1' : '127.0.0.1';

/** As URLs and options with a port have it. */
export const LOOPBACK_HOST = IS_IPV6 ? '[::1]' : '127.0.0.1';

/** Where the servers listen. Containers often go without IPv6. */
export function loopback() {
  if (FAMILY !== undefined) return [LOOPBACK];
  const addresses = Object.values(networkInterfaces()).flatMap((many) => many.map(({ address }) => address));
  return ['127.0.0.1', '::1'].filter((address) => address === '127.0.0.1' || addresses.includes(address));
}
