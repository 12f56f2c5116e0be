//! Compound packets of RTCP: their beginning, and their encryption into the send batch.

use crate::limits;
use crate::transport::Transport;
use machine::Tx;

/// Bytes of a compound packet's [beginning](begin_compound): 8 of the report, 20 of the name.
pub(crate) const COMPOUND_BEGIN_LEN_MAX: usize = 28;

/// Begins a compound packet as RFC 3550 §6.1 requires: with a report, here an empty one, and the sender's
/// CNAME. A peer that accepts reduced-size RTCP (RFC 5506) accepts this too.
pub(crate) fn begin_compound(transport: &Transport, writer: &mut rtcp::Writer<'_>) -> bool {
    writer.receiver_report(transport.local_ssrc, &[])
        && writer.sdes_cname(transport.local_ssrc, transport.cname())
}

/// Sends one compound packet: its [beginning](begin_compound), then what `write` appends. False if the
/// transport cannot send, or nothing was appended.
pub(crate) fn send_rtcp(
    transport: &mut Transport,
    tx: &mut impl Tx,
    write: impl FnOnce(&mut rtcp::Writer<'_>) -> bool,
) -> bool {
    let mut buffer = [0; limits::RTCP_LEN_MAX];
    let mut writer = rtcp::Writer::new(&mut buffer);
    if !begin_compound(transport, &mut writer) || !write(&mut writer) {
        return false;
    }
    protect_rtcp(transport, tx, writer.as_bytes())
}

/// Encrypts a compound packet into the send batch. False if the transport cannot send or the batch is full.
pub(crate) fn protect_rtcp(transport: &mut Transport, tx: &mut impl Tx, compound: &[u8]) -> bool {
    let flow = transport.flow();
    let (Some(path), Some(protection)) = (transport.rtcp_path(), &mut transport.protection) else {
        return false;
    };
    let len = compound.len() + protection.rtcp_overhead();
    let Some(slot) = tx.slot(flow, path, len) else { return false };
    let is_written = protection.protect_rtcp(compound, slot);
    if is_written {
        transport.traffic.sent.count(len);
    } else {
        tx.cancel();
    }
    is_written
}
