//! Client for the REST protocol without a bound on the queries in flight, for open loops: a pool of
//! connections on one thread, with one query at a time on each.
//!
//! It reads the status and the headers of a response, and the reason of a default output from its
//! header. It does not decode the output.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use model::{DataType, Output};
use rustix::{
    buffer::spare_capacity,
    event::{Timespec, epoll},
};
use transport::Frame;
use wire::query::{Answer, AnswerStatus, Lineage, Timing};

use crate::{
    client::{Client, MAX_WAIT},
    error::Error,
    rest::REASON,
};

/// Number of connections whose responses one wait reports.
const EVENTS: usize = 256;

/// Connections that are opened in a row, which a server's backlog holds, and the pause after them.
const CONNECTS: usize = 32;
const PAUSE: Duration = Duration::from_millis(2);

/// Address of an application over REST, for a pool of connections.
#[derive(Clone, Debug)]
pub struct RestPoolTarget {
    /// Address of the frontend's HTTP server.
    pub address: SocketAddr,
    /// Name of the application.
    pub app: String,
    /// Type of the inputs.
    pub input_type: DataType,
}

/// Client over REST that opens another connection when all have a query in flight. The frontend
/// must not close idle connections while it is used.
pub struct RestPool {
    target: RestPoolTarget,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Indices of the connections without a query, the last used one at the end.
    idle: Vec<usize>,
    /// Indices of the connections that may have received something.
    readable: Vec<usize>,
    request: Vec<u8>,
    reason: String,
}

struct Connection {
    stream: TcpStream,
    /// Query in flight.
    query: u32,
    /// Start of a response that has not arrived completely.
    received: Vec<u8>,
}

/// A complete response.
struct Head {
    status: u16,
    /// Reason of a default output.
    reason: Option<String>,
}

impl RestPool {
    /// Creates a client without connections.
    ///
    /// # Errors
    /// If the system has no file descriptors left.
    pub fn new(target: RestPoolTarget) -> Result<RestPool, Error> {
        Ok(RestPool {
            target,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(socket_error)?,
            connections: Vec::new(),
            idle: Vec::new(),
            readable: Vec::new(),
            request: Vec::new(),
            reason: String::new(),
        })
    }

    /// Opens connections ahead of the load, until there are `count`. A connect may wait for a second
    /// when the server accepts slower than clients connect, and queries that are due would wait too.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub fn open(&mut self, count: usize) -> Result<(), Error> {
        while self.connections.len() < count {
            for _ in 0..CONNECTS {
                let index = self.connect()?;
                self.idle.push(index);
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Returns the number of connections: the largest number of queries that were in flight.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn connect(&mut self) -> Result<usize, Error> {
        let stream = TcpStream::connect(self.target.address).map_err(|_| Error::Unreachable)?;
        stream.set_nodelay(true).map_err(socket_error)?;
        stream.set_nonblocking(true).map_err(socket_error)?;
        let index = self.connections.len();
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN).map_err(socket_error)?;
        self.connections.push(Connection {
            stream,
            query: 0,
            received: Vec::new(),
        });
        Ok(index)
    }

    fn poll(&mut self, limit: Duration) -> Result<(), Error> {
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(socket_error(error)),
        }
        let readable = events.iter().map(|event| event.data.u64() as usize);
        self.readable.extend(readable);
        Ok(())
    }
}

impl Client for RestPool {
    fn is_connected(&self) -> bool {
        true
    }

    fn send(&mut self, id: u32, input: &Frame) -> Result<(), Error> {
        let input = Output::read(self.target.input_type, input.as_ref());
        let input = input.map(|input| input.to_text()).unwrap_or_default();
        let (app, address) = (&self.target.app, self.target.address);
        let length = input.len() + r#"{"input":}"#.len();
        self.request.clear();
        let written = write!(
            self.request,
            "POST /{app}/predict HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{{\"input\":{input}}}"
        );
        written.map_err(socket_error)?;
        let index = match self.idle.pop() {
            Some(index) => index,
            None => self.connect()?,
        };
        let connection = &mut self.connections[index];
        connection.query = id;
        // A request that does not fit into the socket's buffer is an error: inputs are small.
        let sent = connection.stream.write_all(&self.request);
        sent.map_err(|_| Error::Disconnected)
    }

    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error> {
        while let Some(index) = self.readable.pop() {
            let connection = &mut self.connections[index];
            let Some(head) = connection.read()? else {
                continue;
            };
            self.idle.push(index);
            let status = match (head.status, &head.reason) {
                (200, None) => AnswerStatus::Ok,
                (200, Some(_)) => AnswerStatus::Default,
                _ => AnswerStatus::Refused,
            };
            self.reason = head.reason.unwrap_or_default();
            return Ok(Some(Answer {
                session: 0,
                request_id: self.connections[index].query,
                status,
                reason: &self.reason,
                output_type: DataType::Bytes,
                output: &[],
                timing: Timing::default(),
                lineage: Lineage::default(),
            }));
        }
        Ok(None)
    }

    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        match self.readable.is_empty() {
            true => self.poll(limit.unwrap_or(MAX_WAIT).min(MAX_WAIT)),
            false => Ok(()),
        }
    }
}

impl Connection {
    /// Reads what has arrived, and returns a response that is complete.
    fn read(&mut self) -> Result<Option<Head>, Error> {
        let mut buffer = [0; 2_048];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err(Error::Disconnected),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(socket_error(error)),
        }
        let Some(end) = self
            .received
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
        else {
            return Ok(None);
        };
        let unreadable = || Error::Unreadable("not a response of HTTP/1.1".to_owned());
        let head = std::str::from_utf8(&self.received[..end]).map_err(|_| unreadable())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok());
        let (mut length, mut reason) = (0, None);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().map_err(|_| unreadable())?;
            } else if name.eq_ignore_ascii_case(REASON) {
                reason = Some(value.to_owned());
            }
        }
        if self.received.len() < end + 4 + length {
            return Ok(None);
        }
        self.received.clear();
        Ok(Some(Head {
            status: status.ok_or_else(unreadable)?,
            reason,
        }))
    }
}

fn socket_error(error: impl std::fmt::Display) -> Error {
    Error::Socket(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        io::{BufRead, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// Reads one request from a connection, and returns its body.
    fn body(reader: &mut BufReader<TcpStream>) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.trim().strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn queries_in_flight_have_connections_of_their_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = RestPoolTarget {
            address: listener.local_addr().unwrap(),
            app: "app".into(),
            input_type: DataType::Ints,
        };
        let server = thread::spawn(move || {
            let mut readers: Vec<_> = (0..3)
                .map(|_| BufReader::new(listener.accept().unwrap().0))
                .collect();
            let mut bodies: Vec<_> = readers.iter_mut().map(body).collect();
            let responses = [
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                "HTTP/1.1 200 OK\r\nClipper-Default-Reason: timed out in queue\r\ncontent-length: 2\r\n\r\n{}",
                "HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\n{}",
            ];
            // The last query is answered first, and each response in two parts.
            for (reader, response) in readers.iter_mut().zip(responses).rev() {
                let (first, second) = response.split_at(30);
                for part in [first, second] {
                    reader.get_mut().write_all(part.as_bytes()).unwrap();
                }
            }
            bodies.push(body(&mut readers[0]));
            bodies
        });
        let mut client = RestPool::new(target).unwrap();
        let input = |value: i32| Frame::from(value.to_le_bytes().to_vec());
        for id in 0..3 {
            client.send(id, &input(7)).unwrap();
        }
        let mut statuses = HashMap::new();
        while statuses.len() < 3 {
            match client.receive().unwrap() {
                Some(answer) => {
                    let answered = (answer.status, answer.reason.to_owned());
                    statuses.insert(answer.request_id, answered);
                }
                None => client.wait(None).unwrap(),
            }
        }
        assert_eq!(statuses[&0], (AnswerStatus::Ok, String::new()));
        let reason = "timed out in queue".to_owned();
        assert_eq!(statuses[&1], (AnswerStatus::Default, reason));
        assert_eq!(statuses[&2].0, AnswerStatus::Refused);
        client.idle = vec![0];
        client.send(3, &input(8)).unwrap();
        assert_eq!(client.connections(), 3);
        let bodies = server.join().unwrap();
        assert_eq!(bodies[..3], [r#"{"input":[7]}"#; 3]);
        assert_eq!(bodies[3], r#"{"input":[8]}"#);
    }
}
