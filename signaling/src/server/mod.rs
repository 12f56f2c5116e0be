//! Where clients connect: TCP and HTTP, Socket.IO, and the web app.

pub mod cors;
pub mod edge;
pub mod http;
mod origin_check;
pub mod socket;
mod socketio;
mod web;
