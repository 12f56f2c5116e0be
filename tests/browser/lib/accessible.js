// Whether a page can be used by everyone: the rules of axe, the width of a phone, and the way of the focus.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import axe from 'axe-core';
import { SCREENSHOTS } from './leat.js';
import { until } from './wait.js';

const DESKTOP = { width: 1280, height: 800 };
/** The narrowest phone that is supported. */
const PHONE = { width: 360, height: 640 };
/** More than any page has. */
const TAB_STOPS_MAX = 60;

/** What axe finds, one line for each element. */
async function violations(page) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html, any, all }) => ({ id, html, checks: [...any, ...all] })));
  });
  return found.map(({ id, html, checks }) => `${id}: ${html} ${checks.map(({ message }) => message).join('; ')}`);
}

/** Buttons and fields that are outside the window or below another element. `.skip` is visible with the focus only. */
function unreachable() {
  const rows = [];
  const modal = document.querySelector('dialog:modal');
  for (const element of document.querySelectorAll('button, input, select, a[href]')) {
    if (
      element.matches('.skip') ||
      !element.checkVisibility() ||
      element.closest('[inert]') ||
      (modal && !modal.contains(element))
    )
      continue;
    element.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const name = element.getAttribute('aria-label') ?? element.textContent ?? element.name;
    if (left < -0.5 || right > innerWidth + 0.5 || top < -0.5 || bottom > innerHeight + 0.5) rows.push(`${name}: outside`);
    const above = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    // The label of a field that is drawn by its label, and the icon in a button. A notice disappears.
    if (above?.closest('.notices')) continue;
    if (!element.contains(above) && !above?.contains(element)) rows.push(`${name}: below ${above?.outerHTML.slice(0, 80)}`);
  }
  return rows;
}

/** If the page is wider than the window: by how much, and what is outside. */
function wide() {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth) return [];
  const outside = [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > clientWidth);
  return [`${scrollWidth - clientWidth} px too wide: ${outside.map(({ outerHTML }) => outerHTML.slice(0, 80)).join('; ')}`];
}

/** The state of a page in both colours and both widths: no violation, no horizontal scroll, all controls reachable. */
export async function usable(page, state) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  const faults = [];
  for (const [device, size] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    await page.setViewportSize(size);
    for (const colorScheme of ['dark', 'light']) {
      // Colours change at once: a transition would be measured half-way.
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.screenshot({ path: join(SCREENSHOTS, `${state}-${device}-${colorScheme}.png`) });
      for (const line of await violations(page)) faults.push(`${device}, ${colorScheme}: ${line}`);
    }
    for (const line of await page.evaluate(wide)) faults.push(`${device}: ${line}`);
    for (const line of await page.evaluate(unreachable)) faults.push(`${device}: ${line}`);
  }
  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  assert.deepEqual(faults, [], state);
}

/** The element with the focus: its accessible name, and whether its outline is visible. */
function focused() {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  // The label of a list has its entries, too.
  const [label = element] = element.labels ?? [];
  const text = label.querySelector('span')?.textContent ?? label.textContent;
  return {
    name: (element.getAttribute('aria-label') ?? text).trim(),
    isVisible: outlineStyle !== 'none' && Number.parseFloat(outlineWidth) > 0,
    isBody: element === document.body,
  };
}

export const focusOf = async (page) => (await page.evaluate(focused)).name;

/** Presses Tab until the control of this name has the focus. Each control on the way shows that it has it. */
export async function tabTo(page, name) {
  const way = [];
  for (let stop = 0; stop < TAB_STOPS_MAX; stop += 1) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(focused);
    way.push(now.name);
    if (!now.isBody) assert.ok(now.isVisible, `the focus on ${now.name} is visible`);
    if (now.name === name) return;
  }
  assert.fail(`Tab does not reach ${name}: ${way.join(' → ')}`);
}

export const hasFocus = (page, name) => until(`${name} has the focus`, async () => (await focusOf(page)) === name);
