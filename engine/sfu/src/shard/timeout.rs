//! The timers of transports.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::shard::adapt::drive_send_side;
use crate::shard::connect::{check_liveness, on_dtls_timeout};
use crate::shard::data_flow::drive_data;
use crate::shard::pipe_out::subscribe_if_due;
use crate::shard::rearm::transport_deadline;
use crate::shard::reports::{send_reports_if_due, send_twcc_if_due};
use crate::shard::requests::{request_keyframes, request_repairs};
use crate::shard::targets::{report_wanted_layers, wake_consumers};
use crate::shard::turn::Turn;
use control::Stage;
use machine::{Tx, meter};

/// Serves the transports whose deadlines have passed, up to the bound of one call.
pub(super) fn serve_transports(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>) {
    for _ in 0..limits::TRANSPORTS_PER_TIMEOUT {
        let Some(owner) = turn.timers.transports.pop(turn.now) else { break };
        if let Some(slot) = objects.transports.slot_at(owner) {
            turn.handling.of(Stage::Timer, slot);
            on_transport_timeout(objects, turn, slot);
        }
    }
}

/// The order matters in three places. Liveness comes first, because it may close the transport. DTLS comes
/// before media, because the last flight of a handshake must be sent before the first packet. The deadline
/// comes last: it depends on the results of the others.
fn on_transport_timeout(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    meter::charge(1, 1_000);
    check_liveness(objects, turn, slot);
    on_dtls_timeout(objects, turn, slot);
    wake_consumers(objects, turn, slot);
    subscribe_if_due(objects, turn, slot);
    turn.handling.check_trap();
    request_repairs(objects, turn, slot);
    request_keyframes(objects, turn, slot);
    drive_send_side(objects, turn, slot);
    drive_data(objects, turn, slot);
    report_wanted_layers(objects, turn, slot);
    send_twcc_if_due(objects, turn, slot);
    send_reports_if_due(objects, turn, slot);
    // Work that did not fit into this call continues after a pause, so that others are served first.
    let deadline = transport_deadline(objects, turn.config, turn.now, slot);
    let deadline = deadline.map(|at| if at <= turn.now { turn.now + limits::TIMEOUT_PAUSE } else { at });
    turn.timers.transports.set(slot.index(), deadline);
}
