//! A relay and its clients without a network: what the RFCs require, what unauthenticated clients get, and
//! which peers are refused.

mod allocating;
mod authenticating;
#[path = "../../../policy/tests/notations/mod.rs"]
mod notations;
mod peers;
mod quotas;
mod relaying;
mod revoking;
mod rig;
mod secured;
mod strangers;
mod streams;
