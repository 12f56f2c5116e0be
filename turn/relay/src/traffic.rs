//! The packet path: from client to peer and back (RFC 8656 §11, §12). Nothing here allocates.

use crate::allocation::{Allocation, client_flow, peers_flow};
use crate::allocations::Allocations;
use crate::call::Call;
use crate::counters::Counter;
use crate::relay_sockets::Owner;
use crate::request_attributes::KNOWN;
use machine::{LocalId, Path, Tx};
use std::net::SocketAddr;
use stun::{CHANNEL_HEADER_LEN, ChannelData, Class, HEADER_LEN, Message, Method, TransactionId, Writer};

/// ChannelData of a client.
pub(crate) fn on_channel_data(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    path: Path,
    bytes: &[u8],
) {
    let Some(channel) = ChannelData::new(bytes) else { return call.counters.count(Counter::Malformed) };
    let Some(index) = allocations.find_cached(path) else {
        return call.counters.count(Counter::NoAllocation);
    };
    let allocation = allocations.get(index);
    let peer = allocation.and_then(|allocation| allocation.channel_peer(call.now, channel.number));
    let Some(peer) = peer else { return call.counters.count(Counter::NoChannel) };
    relay_to_peer(allocations, call, index, peer, channel.data);
}

/// A Send indication of a client. It never gets a response.
pub(crate) fn on_send(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    path: Path,
    message: &Message<'_>,
) {
    let (Some(Some(peer)), Some(data)) = (message.xor_peer_address(), message.data()) else {
        return call.counters.count(Counter::Malformed);
    };
    if message.required_outside(&KNOWN).next().is_some() {
        return call.counters.count(Counter::Malformed);
    }
    let Some(index) = allocations.find_cached(path) else {
        return call.counters.count(Counter::NoAllocation);
    };
    // No datagram is better than one that may be fragmented (RFC 8656 §11.2).
    if message.dont_fragment() && !allocations.get(index).is_some_and(|allocation| allocation.dont_fragment) {
        return call.counters.count(Counter::NoDontFragment);
    }
    // A permission is for a host; the policy may admit only some of its ports.
    if !call.settings.policy.admits(peer) {
        return call.counters.count(Counter::NoPermission);
    }
    relay_to_peer(allocations, call, index, peer, data);
}

fn relay_to_peer(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    index: u32,
    peer: SocketAddr,
    data: &[u8],
) {
    let Call { now, counters, settings, tx, .. } = call;
    let Some((allocation, ledger)) = allocations.with_ledger(index) else { return };
    let relayed = allocation.relayed_for(&peer);
    let relayed = relayed.filter(|_| !allocation.is_tcp && allocation.permits(*now, peer.ip()));
    let Some(relayed) = relayed else { return counters.count(Counter::NoPermission) };
    let quotas = &settings.quotas;
    if !allocation.to_peers.bucket.take_bytes(*now, data.len(), quotas.bits_per_second_per_allocation)
        || !ledger.take_bytes(*now, data.len(), quotas.bits_per_second)
    {
        return counters.count(Counter::OverBitrate);
    }
    let path = Path { local: relayed.local, remote: peer };
    if !tx.forward(peers_flow(index), path, &[], data) {
        return counters.count(Counter::TxFull);
    }
    allocation.to_peers.bytes += data.len() as u64;
    counters.count(Counter::ToPeersPackets);
    counters.add(Counter::ToPeersBytes, data.len() as u64);
}

/// A datagram has arrived at a relayed address.
pub(crate) fn relay_to_client(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    local: LocalId,
    peer: SocketAddr,
    data: &[u8],
) {
    let Call { now, counters, settings, rng, tx, .. } = call;
    let Some(Owner::Allocation(index, _)) = allocations.sockets.owner(local) else {
        return counters.count(Counter::NoPermission);
    };
    let Some((allocation, ledger)) = allocations.with_ledger(index) else { return };
    if !allocation.permits(*now, peer.ip()) {
        return counters.count(Counter::NoPermission);
    }
    let quotas = &settings.quotas;
    if !allocation.to_client.bucket.take_bytes(*now, data.len(), quotas.bits_per_second_per_allocation)
        || !ledger.take_bytes(*now, data.len(), quotas.bits_per_second)
    {
        return counters.count(Counter::OverBitrate);
    }
    let is_written = match allocation.channel_number(*now, &peer) {
        Some(number) => write_channel_data(allocation, index, number, data, *tx),
        None => {
            let mut id = [0; 12];
            rng.fill(&mut id);
            write_data_indication(allocation, index, TransactionId(id), peer, data, *tx)
        }
    };
    if !is_written {
        return counters.count(Counter::TxFull);
    }
    allocation.to_client.bytes += data.len() as u64;
    counters.count(Counter::ToClientsPackets);
    counters.add(Counter::ToClientsBytes, data.len() as u64);
}

fn write_channel_data(
    allocation: &Allocation,
    index: u32,
    number: u16,
    data: &[u8],
    tx: &mut impl Tx,
) -> bool {
    let (path, flow) = (allocation.client, client_flow(index));
    let Ok(len) = u16::try_from(data.len()) else { return false };
    let header = ChannelData::header(number, len);
    if !path.local.is_tcp() {
        return tx.forward(flow, path, &header, data);
    }
    // On a stream it is padded to a multiple of four (RFC 8656 §12.5).
    let end = CHANNEL_HEADER_LEN + data.len();
    let Some(slot) = tx.slot(flow, path, end.next_multiple_of(4)) else { return false };
    slot[..CHANNEL_HEADER_LEN].copy_from_slice(&header);
    slot[CHANNEL_HEADER_LEN..end].copy_from_slice(data);
    slot[end..].fill(0);
    true
}

fn write_data_indication(
    allocation: &Allocation,
    index: u32,
    id: TransactionId,
    peer: SocketAddr,
    data: &[u8],
    tx: &mut impl Tx,
) -> bool {
    // XOR-PEER-ADDRESS, and the header of DATA.
    let before = if peer.is_ipv4() { 12 } else { 24 } + 4;
    let len = HEADER_LEN + before + data.len().next_multiple_of(4);
    let Some(slot) = tx.slot(client_flow(index), allocation.client, len) else { return false };
    let written = Writer::new(slot, Class::Indication, Method::DATA, id)
        .and_then(|mut writer| writer.xor_peer_address(peer).attribute(stun::attribute::DATA, data).finish());
    if written.is_none() {
        // A payload longer than the length field of a STUN message allows.
        tx.cancel();
    }
    written.is_some()
}
