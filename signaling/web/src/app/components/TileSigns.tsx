import { useHand, useReactions } from '../../stores/selectors';
import { useT } from '../i18n';

/** The raised hand and the reactions of a participant, on the tile. */
export function TileSigns({ peerId }: { peerId: string }) {
  const t = useT();
  const hand = useHand(peerId);
  const reactions = useReactions(peerId);
  return (
    <>
      {hand > 0 && (
        <span className="hand" role="img" aria-label={t.conversation.handRaised(hand)} title={t.conversation.handRaised(hand)}>
          ✋ {hand}
        </span>
      )}
      <span className="reactions" role="status">
        {reactions.map(({ id, emoji }) => (
          <span key={id} className="reaction">
            {emoji}
          </span>
        ))}
      </span>
    </>
  );
}
