//! Plain transports, for programs without ICE and DTLS. A client creates and connects them for the program.

use super::Rooms;
use super::lookup::{direction, not_joined, own_transport, permitted, wrong_answer};
use super::state::{PeerId, State};
use crate::ortc::plain;
use crate::proto::{
    ConnectPlainTransport, CreatePlainTransport, ErrorCode, PlainTransportCreated, PlainTransportTuple,
    signal::Payload,
};
use crate::request_error::RequestError;
use control::{Command, Event, TransportId};
use std::net::SocketAddr;

impl Rooms {
    pub(super) async fn create_plain_transport(
        &self,
        peer: PeerId,
        create: CreatePlainTransport,
    ) -> Result<Payload, RequestError> {
        let direction = direction(&create.direction)?;
        let (family, srtp) = (plain::family(&create)?, plain::suite(&create.srtp_suite)?);
        if create.comedia && !direction.sends() {
            return Err(RequestError::bad(
                "comedia needs direction \"send\": the address is learned from the packets that the program sends",
            ));
        }
        let is_permitted =
            self.state().peers.get(&peer).ok_or_else(not_joined)?.permissions.can_use_plain_transports;
        permitted(is_permitted, "canUsePlainTransports")?;
        let router = self.router(peer).await?;
        let (transport, app_data, mut reservation) =
            self.reserve_transport(peer, router.worker, direction, true)?;
        let command = Command::CreatePlainTransport(control::CreatePlainTransport {
            router: router.id,
            transport,
            family,
            rtcp_mux: create.rtcp_mux,
            comedia: create.comedia,
            srtp,
            app_data,
        });
        let answer = reservation.ask(command).await?;
        let Event::PlainTransportCreated { request, address, rtcp_address, srtp, .. } = answer else {
            return Err(wrong_answer(&answer));
        };
        reservation.commit(&mut self.state(), request)?;
        Ok(Payload::PlainTransportCreated(PlainTransportCreated {
            id: transport.to_string(),
            address: address.ip().to_string(),
            port: address.port().into(),
            rtcp_port: rtcp_address.map(|address| address.port().into()),
            srtp_parameters: srtp.as_ref().map(plain::srtp_message),
        }))
    }

    pub(super) async fn connect_plain_transport(
        &self,
        peer: PeerId,
        connect: ConnectPlainTransport,
    ) -> Result<(), RequestError> {
        let (remote, rtcp_remote) = plain::remotes(&connect)?;
        // Without tokens, media must not be sent to other hosts.
        if self.is_development_mode()
            && [remote, rtcp_remote].iter().flatten().any(|remote| !remote.ip().is_loopback())
        {
            let text = "in development mode a plain transport sends to loopback addresses only; start the server with --secret-file";
            return Err(RequestError::new(ErrorCode::TokenPermission, text));
        }
        let srtp = connect.srtp_parameters.as_ref().map(plain::srtp).transpose()?;
        let (transport, worker) = own_transport(&self.state(), peer, &connect.transport_id)?;
        let command = control::ConnectPlainTransport { transport, remote, rtcp_remote, srtp };
        self.node.ask(worker, Command::ConnectPlainTransport(command)).await?;
        if remote.is_some() {
            self.state().set_connected(transport, true);
        }
        Ok(())
    }
}

impl State {
    /// Notifies the owner of the address of the program.
    pub(super) fn on_plain_tuple(
        &mut self,
        transport: TransportId,
        remote: SocketAddr,
        rtcp_remote: Option<SocketAddr>,
    ) {
        let Some(peer) = self.transports.get(&transport).map(|of| of.peer) else { return };
        let tuple = PlainTransportTuple {
            transport_id: transport.to_string(),
            remote_address: remote.ip().to_string(),
            remote_port: remote.port().into(),
            remote_rtcp_port: rtcp_remote.map(|remote| remote.port().into()),
        };
        self.send(peer, Payload::PlainTransportTuple(tuple));
        self.set_connected(transport, true);
    }
}
