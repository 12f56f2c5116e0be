//! Events between processes, the register of TURN servers, and revocations: in process or over NATS.

#![forbid(unsafe_code)]
