import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplicaContext } from '../../../src/arc/context.ts';
import { Copies } from '../../../src/arc/copies.ts';
import type { EndedLives } from '../../../src/arc/ended-lives.ts';
import { defaultArcLimits } from '../../../src/arc/limits.ts';
import { memberId } from '../../../src/arc/members.ts';
import type { Replica } from '../../../src/arc/replica.ts';
import { Standing } from '../../../src/arc/standing.ts';
import type { ArcId, CoreletId } from '../../../src/base/ids.ts';
import type { CopyOffer, CopyReply } from '../../../src/wire/peer/copy.ts';

// A device put back to before a copy has no state and no memory: taken up again under its name, what it had acknowledged
// counts, and is nowhere (INV-10).

const arc = 2 as ArcId;
const peer = 'b'.repeat(32) as CoreletId;
const between = { arc, fromGeneration: 7, toGeneration: 1, term: 4, copy: 0 } as const;

function made() {
  const done: string[] = [];
  const replies: CopyReply['code'][] = [];
  const send = (_: CoreletId, message: CopyReply) => replies.push(message.code);
  const lives = { has: () => false } as unknown as EndedLives;
  const copies = new Copies({ send, limits: defaultArcLimits } as unknown as ReplicaContext, lives, {
    add: () => assert.fail('no replica is begun'),
    drop: () => done.push('drop'),
    retire: () => done.push('retire'),
    lost: () => done.push('lost'),
    ended: (_, member) => done.push(`ended ${member}`),
  });
  const standing = new Standing();
  const core = { requireCopy: (member: string) => done.push(`copy to ${member}`) };
  const replica = { generation: 1, isLeader: true, installed: false, standing, core, flush: () => undefined };
  return { copies, done, replies, standing, replica: replica as unknown as Replica };
}

const asks: CopyReply = { type: 'copyReply', ...between, code: 'refused', number: 0 };

test('a member that has acknowledged entries and asks for a copy from the beginning is over', () => {
  const { copies, done, standing, replica } = made();
  copies.reply(peer, replica, asks);
  const member = memberId(peer, 7);
  standing.heard(member, { type: 'appendReply', ...between, matched: true, index: 12, hintTerm: 0 });
  copies.reply(peer, replica, asks);
  assert.deepEqual(done, [`copy to ${member}`, `ended ${member}`]);
});

test('a voter without a state takes no copy: it was one that had told something', () => {
  const { copies, done, replies, replica } = made();
  const offer: CopyOffer = { type: 'copyOffer', ...between, copy: 5, index: 20, bytes: 0, voter: true };
  copies.offered(peer, replica, offer);
  copies.offered(peer, undefined, offer);
  assert.deepEqual([replies, done], [['ended', 'ended'], ['lost']]);
});
