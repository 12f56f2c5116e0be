// Tests of Firefox without the TURN server, in a network namespace: Firefox uses only addresses other than loopback,
// on an interface with a default route.

import { test } from 'node:test';
import { passesInNamespace } from './lib/namespace.js';
import { TEST_LIMIT } from './lib/wait.js';

const IP = '10.9.0.1';

/** Nothing leaves the namespace: the other end of the link has no address. */
const SETUP = `
  ip link add inner type veth peer name outer
  ip addr add ${IP}/24 dev inner
  ip link set inner up
  ip link set outer up
  ip route add default via 10.9.0.2 dev inner
`;

const passes = (t, file) => passesInNamespace(t, file, { setup: SETUP, least: 5, env: { LEAT_DIRECT_IP: IP } });

test('Firefox publishes and plays over a direct path', TEST_LIMIT, (t) => passes(t, 'firefox_whip.test.js'));

test('Firefox with the block of the SDP flow publishes and plays', TEST_LIMIT, (t) => passes(t, 'firefox_sdp.js'));
