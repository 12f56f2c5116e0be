//! A client that can hold an allocation, over UDP or TCP.

use crate::PATIENCE;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use stun::attribute::{NONCE, REALM};
use stun::{Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

/// A client with a credential.
pub struct Client {
    wire: Wire,
    username: String,
    password: String,
    nonce: Vec<u8>,
    realm: Vec<u8>,
    last_id: u8,
}

/// The transport of its messages.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Wire {
    fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Udp(socket) => assert_eq!(socket.send(bytes).unwrap(), bytes.len()),
            Self::Tcp(stream) => stream.write_all(bytes).unwrap(),
        }
    }

    /// The next message, whole.
    fn receive(&mut self) -> Vec<u8> {
        let mut message = vec![0; 1024];
        let len = match self {
            Self::Udp(socket) => socket.recv(&mut message).expect("a message"),
            Self::Tcp(stream) => {
                stream.read_exact(&mut message[..20]).expect("a message");
                let len = 20 + usize::from(u16::from_be_bytes([message[2], message[3]]));
                stream.read_exact(&mut message[20..len]).expect("the rest of it");
                len
            }
        };
        message.truncate(len);
        message
    }
}

impl Client {
    pub fn new(port: u16, username: &str, password: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::with(Wire::Udp(socket), username, password)
    }

    pub fn over_tcp(port: u16, username: &str, password: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self::with(Wire::Tcp(stream), username, password)
    }

    fn with(wire: Wire, username: &str, password: &str) -> Self {
        let (username, password) = (username.to_owned(), password.to_owned());
        Self { wire, username, password, nonce: Vec::new(), realm: Vec::new(), last_id: 0 }
    }

    /// Allocates: the relayed address, or the code.
    pub fn allocate(&mut self) -> Result<SocketAddr, u16> {
        self.allocate_for(stun::UDP)
    }

    /// The same, for peers over this protocol.
    pub fn allocate_for(&mut self, protocol: u8) -> Result<SocketAddr, u16> {
        let transport = |writer: &mut Writer<'_>| _ = writer.requested_transport(protocol);
        let challenge = self.ask(Method::ALLOCATE, transport);
        let challenge = Message::new(&challenge).unwrap();
        if challenge.error_code().unwrap().0 != 401 {
            return Err(challenge.error_code().unwrap().0);
        }
        self.nonce = challenge.attribute(NONCE).unwrap().to_vec();
        self.realm = challenge.attribute(REALM).unwrap().to_vec();
        let answer = self.ask(Method::ALLOCATE, transport);
        let answer = Message::new(&answer).unwrap();
        match answer.error_code() {
            Some((code, _)) => Err(code),
            None => Ok(answer.xor_relayed_addresses().next().flatten().unwrap()),
        }
    }

    /// The code of a refresh, 0 if it is granted.
    pub fn refresh(&mut self, seconds: u32) -> u16 {
        let answer = self.ask(Method::REFRESH, |writer| _ = writer.lifetime(seconds));
        Message::new(&answer).unwrap().error_code().map_or(0, |(code, _)| code)
    }

    /// The connection with the peer of this number, as a stream for its bytes. This client has a connection
    /// for it, and knows the realm and the nonce of the other one.
    pub fn join(mut self, of: &Self, connection_id: u32) -> TcpStream {
        (self.realm, self.nonce) = (of.realm.clone(), of.nonce.clone());
        let answer = self.ask(Method::CONNECTION_BIND, |writer| _ = writer.connection_id(connection_id));
        assert_eq!(Message::new(&answer).unwrap().error_code(), None);
        let Wire::Tcp(stream) = self.wire else { panic!("datagrams are no stream") };
        stream
    }

    /// The same by a client that does not wait for the answer.
    pub fn join_at_once(mut self, of: &Self, connection_id: u32, bytes: &[u8]) {
        (self.realm, self.nonce) = (of.realm.clone(), of.nonce.clone());
        let bind = |writer: &mut Writer<'_>| _ = writer.connection_id(connection_id);
        let (_, request) = self.request(Method::CONNECTION_BIND, bind);
        self.wire.send(&[&request, bytes].concat());
    }

    /// The server's next indication.
    pub fn expect_received(&mut self) -> Vec<u8> {
        self.wire.receive()
    }

    /// Sends a request, and waits for the answer.
    pub fn ask(&mut self, method: Method, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let (id, request) = self.request(method, fill);
        self.wire.send(&request);
        let answer = self.wire.receive();
        assert_eq!(Message::new(&answer).unwrap().transaction_id(), id);
        answer
    }

    fn request(&mut self, method: Method, fill: impl FnOnce(&mut Writer<'_>)) -> (TransactionId, Vec<u8>) {
        self.last_id += 1;
        let id = TransactionId([self.last_id; 12]);
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer, Class::Request, method, id).unwrap();
        fill(&mut writer);
        if !self.nonce.is_empty() {
            let parts = [self.username.as_bytes(), &self.realm, self.password.as_bytes()];
            let key = Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha1);
            writer.username(parts[0]).realm(&self.realm).nonce(&self.nonce).integrity(&key);
        }
        let len = writer.finish().unwrap();
        (id, buffer[..len].to_vec())
    }
}
