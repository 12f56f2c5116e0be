//! Socket.IO's packets (socket.io-protocol revision 5), as far as `signal.proto` needs them: the namespace `/`, one event with one binary
//! attachment, and acknowledgements that are one too. Text in, text out; the transport is Engine.IO's business.

/// The only event, in both directions.
pub const EVENT: &str = "signal";

/// Bytes of an event's text: `["signal",{"_placeholder":true,"num":0}]`, and room for white space. A longer one is no signal.
const EVENT_BYTES_MAX: usize = 256;

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Asks for a namespace.
    Connect {
        /// Which.
        namespace: &'a str,
    },
    /// Leaves the namespace.
    Disconnect,
    /// A signal, whose bytes follow as the attachment.
    Signal {
        /// The number that its acknowledgement is to have, if one is wanted.
        ack: Option<u64>,
    },
    /// An event without an attachment, which is no signal.
    Other {
        /// As in [`Packet::Signal`].
        ack: Option<u64>,
    },
}

/// Not a packet of this protocol, or one with attachments that nothing here has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPacket;

/// Reads a packet's text.
pub fn read(text: &str) -> Result<Packet<'_>, InvalidPacket> {
    let (kind, rest) = text.split_at_checked(1).ok_or(InvalidPacket)?;
    let (attachments, rest) = match kind {
        "5" | "6" => {
            let (count, rest) = rest.split_once('-').ok_or(InvalidPacket)?;
            (count.parse::<u8>().map_err(|_| InvalidPacket)?, rest)
        }
        _ => (0, rest),
    };
    let (namespace, rest) = match rest.strip_prefix('/') {
        // Without anything behind it, a namespace needs no comma.
        Some(_) => rest.split_once(',').unwrap_or((rest, "")),
        None => ("/", rest),
    };
    if kind == "0" {
        return Ok(Packet::Connect { namespace });
    }
    if namespace != "/" {
        return Err(InvalidPacket);
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (ack, data) = rest.split_at(digits);
    let ack = if ack.is_empty() { None } else { Some(ack.parse::<u64>().map_err(|_| InvalidPacket)?) };
    match (kind, attachments) {
        ("1", _) => Ok(Packet::Disconnect),
        ("5", 1) if is_signal(data) => Ok(Packet::Signal { ack }),
        ("2", _) | ("5", 0) => Ok(Packet::Other { ack }),
        // Acknowledgements (3, 6) of events that asked for none, and attachments (5) of what is no signal.
        _ => Err(InvalidPacket),
    }
}

/// Whether an event's data are this event, with the one attachment.
fn is_signal(data: &str) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Placeholder {
        _placeholder: bool,
        num: u8,
    }
    if data.len() > EVENT_BYTES_MAX {
        return false;
    }
    let event = serde_json::from_str::<(&str, Placeholder)>(data);
    event.is_ok_and(|(name, attachment)| name == EVENT && attachment._placeholder && attachment.num == 0)
}

/// The answer to [`Packet::Connect`]: there is the namespace.
pub fn connected(sid: &str) -> String {
    format!("0{{\"sid\":\"{sid}\"}}")
}

/// The answer to [`Packet::Connect`]: there is no such namespace.
pub fn no_such_namespace(namespace: &str) -> String {
    format!("4{namespace},{{\"message\":\"Invalid namespace\"}}")
}

/// The server leaves the namespace: no more comes.
pub fn disconnected() -> String {
    "1".to_owned()
}

/// An event, whose attachment follows.
pub fn event() -> String {
    format!("51-[\"{EVENT}\",{{\"_placeholder\":true,\"num\":0}}]")
}

/// An acknowledgement, whose attachment follows.
pub fn acknowledgement(ack: u64) -> String {
    format!("61-{ack}[{{\"_placeholder\":true,\"num\":0}}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_of_the_javascript_client_are_read() {
        let placeholder = "[\"signal\",{\"_placeholder\":true,\"num\":0}]";
        for (text, wanted) in [
            ("0", Packet::Connect { namespace: "/" }),
            ("0{\"token\":\"123\"}", Packet::Connect { namespace: "/" }),
            ("0/admin,", Packet::Connect { namespace: "/admin" }),
            ("0/admin", Packet::Connect { namespace: "/admin" }),
            ("1", Packet::Disconnect),
            ("1/,", Packet::Disconnect),
            (&format!("51-{placeholder}"), Packet::Signal { ack: None }),
            (&format!("51-12{placeholder}"), Packet::Signal { ack: Some(12) }),
            (&format!("51-/,7{placeholder}"), Packet::Signal { ack: Some(7) }),
            ("2[\"signal\",\"text\"]", Packet::Other { ack: None }),
            ("21[\"signal\"]", Packet::Other { ack: Some(1) }),
            ("50-3[\"signal\"]", Packet::Other { ack: Some(3) }),
        ] {
            assert_eq!(read(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_nothing_here_has_a_use_for_is_refused() {
        for text in [
            "",
            "9",
            "é",
            "5",
            "51",
            "5-[]",
            "5x-[]",
            "51-[]",
            "51-[\"other\",{\"_placeholder\":true,\"num\":0}]",
            "51-[\"signal\",{\"_placeholder\":true,\"num\":1}]",
            "51-[\"signal\",{\"_placeholder\":false,\"num\":0}]",
            "52-[\"signal\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
            "51-99999999999999999999[\"signal\",{\"_placeholder\":true,\"num\":0}]",
            "2/admin,[\"signal\"]",
            "30[]",
            "61-0[{\"_placeholder\":true,\"num\":0}]",
        ] {
            assert_eq!(read(text), Err(InvalidPacket), "{text}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused() {
        proptest!(|(text in ".{0,80}", tail in "[0-9/,\\[\\]{}\"a-z_:-]{0,60}", kind in 0u8..8)| {
            let _ = read(&text);
            let _ = read(&format!("{kind}{tail}"));
            let _ = read(&format!("{kind}1-{tail}"));
        });
    }
}
