//! A client over UDP: just enough to hold an allocation.

use crate::PATIENCE;
use std::net::{SocketAddr, UdpSocket};
use stun::attribute::{NONCE, REALM};
use stun::{Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

/// A client with a credential.
pub struct Client {
    socket: UdpSocket,
    username: String,
    password: String,
    nonce: Vec<u8>,
    realm: Vec<u8>,
    last_id: u8,
}

impl Client {
    pub fn new(port: u16, username: &str, password: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (username, password) = (username.to_owned(), password.to_owned());
        Self { socket, username, password, nonce: Vec::new(), realm: Vec::new(), last_id: 0 }
    }

    /// Allocates: the relayed address, or the code.
    pub fn allocate(&mut self) -> Result<SocketAddr, u16> {
        let transport = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::UDP);
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

    fn ask(&mut self, method: Method, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
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
        self.socket.send(&buffer[..len]).unwrap();
        let mut answer = vec![0; 1024];
        let len = self.socket.recv(&mut answer).expect("an answer");
        answer.truncate(len);
        assert_eq!(Message::new(&answer).unwrap().transaction_id(), id);
        answer
    }
}
