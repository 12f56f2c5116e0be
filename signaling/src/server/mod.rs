//! The server for clients: TCP and HTTP, Socket.IO, and the web app.

pub mod cors;
pub mod edge;
pub mod graphql;
pub mod http;
pub mod monitoring;
mod origin_check;
pub mod socket;
mod socketio;
mod web;
