//! A relay asked by clients, on no network: what the RFCs want, what a stranger gets, and what nobody may reach.

mod allocating;
mod authenticating;
mod peers;
mod quotas;
mod relaying;
mod rig;
mod secured;
mod strangers;
mod streams;
