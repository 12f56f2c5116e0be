//! Peers on a bad network: a shard in virtual time, with a seed in every failure message.

#![allow(clippy::unwrap_used)]

mod allocation;
mod audio;
mod bandwidth;
mod both_ways;
mod captures;
mod chaos;
mod congestion;
mod containment;
mod continuity;
mod data;
mod data_pace;
mod estimator;
mod golden;
mod grace;
mod hints;
mod indices;
mod keyframes;
mod layers;
mod loss;
mod model;
mod old_clients;
mod order;
mod pipes;
mod plain;
mod presence;
mod pressure;
mod programs;
mod relaying;
mod replay;
mod reports;
mod roles;
mod sources;
mod stats;
mod tolerance;
