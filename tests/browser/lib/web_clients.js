// The WHIP and WHEP clients of npm packages, unmodified, as one module for a page.

export { WHIPClient as EyevinnClient } from '@eyevinn/whip-web-client';
export { WHEPClient } from 'whip-whep/whep.js';
export { WHIPClient } from 'whip-whep/whip.js';
