//! The input that a shard is handling: a panic is attributed to it, and tests can cause one here.

use crate::base::slots::Slot;
use control::Stage;

/// Set at the start of each stage, read only after a panic.
#[derive(Debug)]
pub struct Handling {
    stage: Stage,
    transport: Option<Slot>,
    router: Option<Slot>,
    /// During forwarding: the transport of the source, and the one of the consumer.
    fan_out: Option<(Slot, Slot)>,
    /// The stage and transport in which a test requests a panic, once.
    trap: Option<(Stage, Slot)>,
    accepts_traps: bool,
}

impl Default for Handling {
    fn default() -> Self {
        Self {
            stage: Stage::Datagram,
            transport: None,
            router: None,
            fan_out: None,
            trap: None,
            accepts_traps: false,
        }
    }
}

impl Handling {
    /// The driver calls: the affected objects are not known yet.
    pub fn begin(&mut self, stage: Stage) {
        (self.stage, self.transport, self.router, self.fan_out) = (stage, None, None, None);
    }

    /// The input affects this transport, whose state is changed from now on.
    pub fn of(&mut self, stage: Stage, transport: Slot) {
        (self.stage, self.transport) = (stage, Some(transport));
    }

    /// The input affects this transport, if there is one.
    pub fn of_any(&mut self, transport: Option<Slot>) {
        self.transport = transport;
    }

    /// The input affects a whole router.
    pub fn of_router(&mut self, router: Option<Slot>) {
        self.router = router;
    }

    /// Packets from `source` are being written for `target`.
    pub fn forward(&mut self, source: Slot, target: Slot) {
        self.fan_out = Some((source, target));
    }

    /// As [`check_trap`](Self::check_trap), during forwarding: some packets have been written for the target,
    /// and are not recorded yet.
    pub fn check_forward_trap(&mut self) {
        if let Some((stage, transport)) = self.trap
            && stage == Stage::BatchEnd
            && self.fan_out.is_some_and(|(_, target)| target == transport)
        {
            self.spring();
        }
    }

    /// All packets have been forwarded.
    pub fn end_forward(&mut self) {
        self.fan_out = None;
    }

    /// The current stage.
    pub fn stage(&self) -> Stage {
        if self.fan_out.is_some() { Stage::BatchEnd } else { self.stage }
    }

    /// The transports whose state may be partly changed.
    pub fn transports(&self) -> impl Iterator<Item = Slot> + use<> {
        let fan_out = self.fan_out.map(|(source, target)| [source, target]);
        self.transport.into_iter().chain(fan_out.into_iter().flatten())
    }

    /// The router whose state may be partly changed.
    pub fn router(&self) -> Option<Slot> {
        self.router
    }

    /// Whether tests may cause panics.
    pub fn accepts_traps(&self) -> bool {
        self.accepts_traps
    }

    /// From now on tests may cause panics.
    pub fn accept_traps(&mut self) {
        self.accepts_traps = true;
    }

    /// Requests a panic of the transport in this stage.
    pub fn set_trap(&mut self, stage: Stage, transport: Slot) {
        self.trap = Some((stage, transport));
    }

    /// A place where a test may cause a panic: in the middle of a stage, with much of the state partly
    /// changed.
    pub fn check_trap(&mut self) {
        if let Some((stage, transport)) = self.trap
            && (stage, Some(transport)) == (self.stage, self.transport)
        {
            self.spring();
        }
    }

    #[cold]
    fn spring(&mut self) {
        let stage = self.trap.take().map_or("", |(stage, _)| stage.name());
        panic!("a test requested a panic in stage {stage}");
    }
}
