//! An HTTP connection that says exactly the bytes that a test wants.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::PATIENCE;

/// A client's connection.
pub struct Http {
    stream: BufReader<TcpStream>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header's lines after the first, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Http {
    /// Connects to a port on loopback.
    pub fn connect(port: u16) -> Http {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Http {
            stream: BufReader::new(stream),
        }
    }

    /// Says these bytes.
    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Says a request: method and path, further header lines, body.
    pub fn ask(&mut self, what: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{what} HTTP/1.1\r\nHost: x\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.say(&[request.as_bytes(), body].concat());
    }

    /// The next response that comes.
    pub fn hear(&mut self) -> Response {
        let status = self.line();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let length = response.header("content-length").unwrap_or("0");
        response.body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut response.body).unwrap();
        response
    }

    /// Says a request and hears the response.
    pub fn post(&mut self, path: &str, body: &str) -> Response {
        self.ask(&format!("POST {path}"), &[], body.as_bytes());
        self.hear()
    }

    /// The same with GET.
    pub fn get(&mut self, path: &str) -> Response {
        self.ask(&format!("GET {path}"), &[], b"");
        self.hear()
    }

    /// Waits until the server closes the connection, which must not say anything before.
    pub fn wait_closed(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the connection was closed");
        line.trim_end().to_owned()
    }
}

impl Response {
    /// The value of a header line.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
