//! The requests of clients.

use crate::proto::{
    AdmitPeer, Answer, Candidate, CloseConsumer, CloseDataConsumer, CloseDataProducer, CloseProducer,
    CloseTransport, ConnectPlainTransport, ConnectTransport, ConsumeData, ConsumeMedia, CreatePlainTransport,
    CreateTransport, DenyPeer, EndRoom, ErrorCode, GetStats, JoinRoom, Kick, Leave, MutePeer, MuteProducer,
    Offer, PauseConsumer, PauseProducer, ProduceData, ProduceMedia, QualityReport, RefreshToken, RestartIce,
    ResumeConsumer, ResumeProducer, SendMessage, SetAdmin, SetBitrates, SetMetadata, SetPreferredLayers,
    SetPresence, SetPriority, SetRoom, SetSubscribers, signal::Payload,
};
use crate::request_error::RequestError;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, strum::IntoStaticStr)]
#[allow(missing_docs, reason = "each variant is the message of signal.proto with the same name")]
pub enum Request {
    JoinRoom(JoinRoom),
    Leave(Leave),
    GetRouterCapabilities,
    CreateTransport(CreateTransport),
    CreatePlainTransport(CreatePlainTransport),
    ConnectTransport(ConnectTransport),
    ConnectPlainTransport(ConnectPlainTransport),
    RestartIce(RestartIce),
    SetBitrates(SetBitrates),
    CloseTransport(CloseTransport),
    ProduceMedia(ProduceMedia),
    PauseProducer(PauseProducer),
    ResumeProducer(ResumeProducer),
    CloseProducer(CloseProducer),
    ConsumeMedia(ConsumeMedia),
    PauseConsumer(PauseConsumer),
    ResumeConsumer(ResumeConsumer),
    CloseConsumer(CloseConsumer),
    SetPreferredLayers(SetPreferredLayers),
    SetPriority(SetPriority),
    GetStats(GetStats),
    RefreshToken(RefreshToken),
    Kick(Kick),
    MutePeer(MutePeer),
    MuteProducer(MuteProducer),
    SetRoom(SetRoom),
    AdmitPeer(AdmitPeer),
    DenyPeer(DenyPeer),
    SetSubscribers(SetSubscribers),
    SetMetadata(SetMetadata),
    SetPresence(SetPresence),
    SendMessage(SendMessage),
    EndRoom(EndRoom),
    SetAdmin(SetAdmin),
    ProduceData(ProduceData),
    ConsumeData(ConsumeData),
    CloseDataProducer(CloseDataProducer),
    CloseDataConsumer(CloseDataConsumer),
    Offer(Offer),
    Answer(Answer),
    Candidate(Candidate),
    QualityReport(QualityReport),
}

impl TryFrom<Payload> for Request {
    type Error = RequestError;

    /// Refuses messages that only a server sends.
    fn try_from(payload: Payload) -> Result<Self, RequestError> {
        Ok(match payload {
            Payload::JoinRoom(join) => Self::JoinRoom(join),
            Payload::Leave(leave) => Self::Leave(leave),
            Payload::GetRouterCapabilities(_) => Self::GetRouterCapabilities,
            Payload::CreateTransport(create) => Self::CreateTransport(create),
            Payload::CreatePlainTransport(create) => Self::CreatePlainTransport(create),
            Payload::ConnectTransport(connect) => Self::ConnectTransport(connect),
            Payload::ConnectPlainTransport(connect) => Self::ConnectPlainTransport(connect),
            Payload::RestartIce(restart) => Self::RestartIce(restart),
            Payload::SetBitrates(set) => Self::SetBitrates(set),
            Payload::CloseTransport(close) => Self::CloseTransport(close),
            Payload::ProduceMedia(produce) => Self::ProduceMedia(produce),
            Payload::PauseProducer(pause) => Self::PauseProducer(pause),
            Payload::ResumeProducer(resume) => Self::ResumeProducer(resume),
            Payload::CloseProducer(close) => Self::CloseProducer(close),
            Payload::ConsumeMedia(consume) => Self::ConsumeMedia(consume),
            Payload::PauseConsumer(pause) => Self::PauseConsumer(pause),
            Payload::ResumeConsumer(resume) => Self::ResumeConsumer(resume),
            Payload::CloseConsumer(close) => Self::CloseConsumer(close),
            Payload::SetPreferredLayers(set) => Self::SetPreferredLayers(set),
            Payload::SetPriority(set) => Self::SetPriority(set),
            Payload::GetStats(get) => Self::GetStats(get),
            Payload::RefreshToken(refresh) => Self::RefreshToken(refresh),
            Payload::Kick(kick) => Self::Kick(kick),
            Payload::MutePeer(mute) => Self::MutePeer(mute),
            Payload::MuteProducer(mute) => Self::MuteProducer(mute),
            Payload::SetRoom(set) => Self::SetRoom(set),
            Payload::AdmitPeer(admit) => Self::AdmitPeer(admit),
            Payload::DenyPeer(deny) => Self::DenyPeer(deny),
            Payload::SetSubscribers(set) => Self::SetSubscribers(set),
            Payload::SetMetadata(set) => Self::SetMetadata(set),
            Payload::SetPresence(set) => Self::SetPresence(set),
            Payload::SendMessage(send) => Self::SendMessage(send),
            Payload::EndRoom(end) => Self::EndRoom(end),
            Payload::SetAdmin(set) => Self::SetAdmin(set),
            Payload::ProduceData(produce) => Self::ProduceData(produce),
            Payload::ConsumeData(consume) => Self::ConsumeData(consume),
            Payload::CloseDataProducer(close) => Self::CloseDataProducer(close),
            Payload::CloseDataConsumer(close) => Self::CloseDataConsumer(close),
            Payload::Offer(offer) => Self::Offer(offer),
            Payload::Answer(answer) => Self::Answer(answer),
            Payload::Candidate(candidate) => Self::Candidate(candidate),
            Payload::QualityReport(report) => Self::QualityReport(report),
            _ => {
                return Err(RequestError::new(
                    ErrorCode::UnsupportedMessage,
                    "only a server sends this message",
                ));
            }
        })
    }
}
