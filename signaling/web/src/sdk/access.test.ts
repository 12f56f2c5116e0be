import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GrantedPermissionsSchema, JoinedSchema, RoomPolicySchema } from '../gen/signal_pb';
import { accessAfter, accessOf, initialAccess, permissionsOf, policyOf } from './access';

const grace = { id: 'w1', user: 'grace', name: 'Grace' };

test('an answer without permissions and policy, of an earlier server, restricts nothing', () => {
  const access = accessOf(create(JoinedSchema));
  expect(access).toEqual(initialAccess);
  expect(access.permissions).toMatchObject({ publish: true, subscribe: true, admin: false });
});

test('a list of sources is a restriction also when it is empty', () => {
  const sources = (rest: { hasPublishSources?: boolean; publishSources?: string[] }) =>
    permissionsOf(create(GrantedPermissionsSchema, rest)).publishSources;
  expect(sources({})).toBe(null);
  expect(sources({ hasPublishSources: true })).toEqual([]);
  expect(sources({ hasPublishSources: true, publishSources: ['microphone'] })).toEqual(['microphone']);
});

test('a policy of a later version has no value that this client does not know', () => {
  expect(policyOf(create(RoomPolicySchema, { publishers: 'hosts' })).publishers).toBe('everyone');
  expect(policyOf(create(RoomPolicySchema, { maxPeers: 0 })).maxPeers).toBe(null);
});

test('clients that wait are added once, and removed', () => {
  const joined = create(JoinedSchema, {
    permissions: { admin: true },
    waiting: [{ waitingId: 'w1', user: 'grace', displayName: 'Grace' }],
  });
  const access = accessOf(joined);
  expect([...access.waiting.values()]).toEqual([grace]);
  expect(accessAfter(access, { on: 'waiting', client: grace })).toEqual(access);
  const after = accessAfter(access, { on: 'notWaiting', id: 'w1' });
  expect(after.waiting.size).toBe(0);
  expect(access.waiting.size).toBe(1);
  expect(accessAfter(after, { on: 'notWaiting', id: 'w1' })).toEqual(after);
});

test('a client that is no administrator any more has no list of waiting clients', () => {
  const access = accessAfter(initialAccess, { on: 'waiting', client: grace });
  const admin = { ...initialAccess.permissions, admin: true };
  expect(accessAfter(access, { on: 'permissions', permissions: admin }).waiting.size).toBe(1);
  expect(accessAfter(access, { on: 'permissions', permissions: initialAccess.permissions }).waiting.size).toBe(0);
});
