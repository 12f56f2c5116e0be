//! A call with a layered track; the script changes preferences, layers and the network in any order: the
//! received stream must be decodable by the model of a browser's receiver.

use std::time::Duration;

use control::{Command, ConsumerId, Layers, ProducerId};
use leat_tests::{LayeredTrack, MS, PeerId, SEC, World};

use crate::script::Script;

/// Steps of a script: some ten seconds of a call.
const STEPS_MAX: usize = 60;
/// Maximum number of consumers.
const VIEWS_MAX: usize = 3;

struct Call {
    world: World,
    alice: PeerId,
    camera: ProducerId,
    views: Vec<ConsumerId>,
    is_lossy: bool,
}

/// The bytes are a script; see [`step`](Call::step). Without loss every frame is decodable; with loss, only
/// frames after a loss are not.
pub fn layers(data: &[u8]) {
    let mut script = Script::new(data);
    let track = track(script.u8());
    let mut world = World::new(u64::from(script.u8()));
    let alice = world.join();
    world.link(alice).delay(20 * MS);
    world.connect();
    let camera = world.publish_layered(alice, track);
    let is_lossy = script.bool();
    let mut call = Call { world, alice, camera, views: Vec::new(), is_lossy };
    call.watch(&mut script);
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        call.step(&mut script);
    }
    call.judge();
}

fn track(which: u8) -> LayeredTrack {
    let track = match which & 0x0f {
        0 => LayeredTrack::vp8_simulcast(),
        1 => LayeredTrack::vp8_simulcast().short_picture_ids(),
        2 => LayeredTrack::vp8_simulcast().with_descriptor(),
        3 => LayeredTrack::h264_simulcast(),
        4 => LayeredTrack::h264_temporal_simulcast(),
        5 => LayeredTrack::vp9_simulcast(),
        6 => LayeredTrack::vp9_svc(),
        7 => LayeredTrack::vp9_svc().flexible(),
        8 => LayeredTrack::vp9_key_svc(),
        9 => LayeredTrack::vp9_key_svc().flexible(),
        10 => LayeredTrack::av1_svc(),
        11 => LayeredTrack::av1_key_svc(),
        _ => LayeredTrack::av1_simulcast(),
    };
    let track = if which & 0x10 == 0 { track } else { track.without_rtx().padding(0.3) };
    let track = if which & 0x20 == 0 { track } else { track.without_sender_reports() };
    LayeredTrack { keyframes_together: which & 0x40 != 0, ..track }
}

impl Call {
    fn watch(&mut self, script: &mut Script<'_>) {
        if self.views.len() == VIEWS_MAX {
            return;
        }
        let peer = self.world.join();
        self.world.link(peer).delay(20 * MS);
        self.world.connect();
        let target = target(script);
        self.views.push(self.world.subscribe_layered(peer, self.camera, Some(target)));
    }

    /// One step: the first byte modulo 12 selects it, the rest depends on it.
    fn step(&mut self, script: &mut Script<'_>) {
        let which = script.u8() % 12;
        let view = self.views[usize::from(script.u8()) % self.views.len()];
        let encoding = usize::from(script.u8()) % self.world.layered(self.camera).track().encodings.len();
        match which {
            0..=2 => self.world.run_for(Duration::from_millis(4 * u64::from(script.u8()))),
            3 | 4 => {
                self.world.demand(Command::SetPreferredLayers { consumer: view, layers: target(script) })
            }
            5 => self.world.demand(Command::PauseConsumer { consumer: view }),
            6 => self.world.demand(Command::ResumeConsumer { consumer: view }),
            7 => {
                let on = script.u8().is_multiple_of(2);
                self.world.order_layered(self.camera, |source| source.switch(encoding, on));
            }
            8 => {
                let layers = script.u8() % self.world.layered(self.camera).track().spatial_layers + 1;
                self.world.order_layered(self.camera, |source| source.set_spatial_layers(layers));
            }
            9 => match script.u8() % 3 {
                0 => self.world.order_layered(self.camera, |source| source.change_scene(encoding)),
                1 => self.world.order_layered(self.camera, |source| source.change_ssrc(encoding)),
                _ => self.world.order_layered(self.camera, |source| source.resize(encoding, 640, 480)),
            },
            10 => self.watch(script),
            _ => {
                let loss = f64::from(script.u8() % 32) / 100.0;
                if self.is_lossy {
                    self.world.uplink(self.alice).loss(loss);
                }
            }
        }
    }

    fn judge(&mut self) {
        self.world.uplink(self.alice).loss(0.0);
        self.world.run_for(SEC);
        self.world.finish();
        self.world.assert_sound();
        for view in &self.views {
            let receiver = self.world.receiver(*view);
            let undecodable = receiver.undecodable().iter();
            let blamed = undecodable.filter(|frame| !self.is_lossy || !frame.follows_loss).count();
            assert_eq!(blamed, 0, "{}: {view}, {:#?}", self.world, receiver.undecodable().first());
            assert!(self.is_lossy || receiver.headless() == 0, "{}: {view} begins headless", self.world);
        }
    }
}

fn target(script: &mut Script<'_>) -> Layers {
    let target = script.u8();
    Layers { spatial: (target >> 4) % 3, temporal: (target & 0x0f) % 3 }
}
