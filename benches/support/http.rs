//! A small blocking HTTP/1.1 client for preparing what is measured, and the bytes of requests.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// A request as bytes, to be kept alive.
pub fn encode(method: &str, path: &str, bearer: Option<&str>, body: Option<&Value>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    if let Some(bearer) = bearer {
        text.push_str(&format!("authorization: Bearer {bearer}\r\n"));
    }
    let body = body.map(Value::to_string);
    if let Some(body) = &body {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.as_deref().unwrap_or(""));
    text.into_bytes()
}

/// Where the head of an answer ends and where its body does, once the head is there.
pub fn bounds(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).expect("a head is text").to_ascii_lowercase();
    let length = text.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length: usize = length.expect("an answer says its length").parse().unwrap();
    Some((head, head + length))
}

/// One connection, with one credential.
pub struct Http {
    stream: TcpStream,
    bearer: Option<String>,
    buffer: Vec<u8>,
}

impl Http {
    /// Connects.
    pub fn connect(address: SocketAddr, bearer: Option<&str>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bearer: bearer.map(ToOwned::to_owned), buffer: Vec::new() }
    }

    /// Sends a request and reads its answer: the status and the body.
    pub fn text(&mut self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        self.stream.write_all(&encode(method, path, self.bearer.as_deref(), body)).unwrap();
        self.buffer.clear();
        let mut chunk = [0; 16 * 1024];
        let (head, end) = loop {
            if let Some((head, end)) = bounds(&self.buffer)
                && self.buffer.len() >= end
            {
                break (head, end);
            }
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "the server closed the connection");
            self.buffer.extend_from_slice(&chunk[..read]);
        };
        let status = std::str::from_utf8(&self.buffer[9..12]).unwrap().parse().unwrap();
        (status, String::from_utf8(self.buffer[head..end].to_vec()).unwrap())
    }

    /// Sends a request whose answer must have this status, and reads its JSON.
    pub fn json(&mut self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let (got, text) = self.text(method, path, body);
        assert_eq!(got, status, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}
