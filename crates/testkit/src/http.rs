//! An HTTP client that sends exact bytes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::TIMEOUT;

/// One connection to a server.
pub struct HttpClient {
    stream: BufReader<TcpStream>,
}

/// A server's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Header fields in the order received, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, uninterpreted.
    pub body: Vec<u8>,
}

impl HttpClient {
    /// Connects to a port on loopback.
    pub fn connect(port: u16) -> HttpClient {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        HttpClient {
            stream: BufReader::new(stream),
        }
    }

    /// Sends `bytes` as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a request. `line` holds the method and the path.
    pub fn send_request(&mut self, line: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{line} HTTP/1.1\r\nHost: x\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.send(&[request.as_bytes(), body].concat());
    }

    /// Receives the next response.
    pub fn recv(&mut self) -> HttpResponse {
        let status_line = self.read_line();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.read_line();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut response = HttpResponse {
            status,
            headers,
            body: Vec::new(),
        };
        let length = response.header("content-length").unwrap_or("0");
        response.body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut response.body).unwrap();
        response
    }

    /// Sends a POST request and receives the response.
    pub fn post(&mut self, path: &str, body: &str) -> HttpResponse {
        self.send_request(&format!("POST {path}"), &[], body.as_bytes());
        self.recv()
    }

    /// Sends a GET request and receives the response.
    pub fn get(&mut self, path: &str) -> HttpResponse {
        self.send_request(&format!("GET {path}"), &[], b"");
        self.recv()
    }

    /// Waits until the server closes the connection; panics if it sends anything before.
    pub fn wait_closed(&mut self) {
        let mut received = Vec::new();
        self.stream.read_to_end(&mut received).unwrap();
        assert!(
            received.is_empty(),
            "{}",
            String::from_utf8_lossy(&received)
        );
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the connection was closed");
        line.trim_end().to_owned()
    }
}

impl HttpResponse {
    /// Returns the value of the header field `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value)
    }

    /// Returns the body as UTF-8 text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
