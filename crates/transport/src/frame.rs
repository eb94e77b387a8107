//! A reference-counted ZeroMQ frame. The `zmq` crate's `Message` cannot be cloned, and sending
//! consumes it, so an input that may have to be sent again could not be kept without a copy. This
//! is the only module with unsafe code.
#![expect(unsafe_code, reason = "libzmq's and the allocator's C API")]

use std::{
    cell::UnsafeCell,
    ffi::{CStr, c_int, c_void},
    fmt,
    os::fd::RawFd,
    slice,
};

use zmq::{Error, Socket};
use zmq_sys::zmq_msg_t;

/// One frame of a multipart message. A clone shares the bytes.
///
/// The `UnsafeCell` is needed because libzmq marks a message as shared when it is copied. It also
/// makes `Frame` not `Sync`.
pub struct Frame(UnsafeCell<zmq_msg_t>);

impl Frame {
    /// Minimum size in bytes of a frame that is shared when it is kept; a smaller one is copied. A
    /// small received frame is a part of libzmq's receive buffer of 8 KiB, which lives as long as
    /// the frame.
    const MIN_SHARED_SIZE: usize = 4096;

    fn empty() -> Frame {
        let frame = Frame(UnsafeCell::new(zmq_msg_t::default()));
        // SAFETY: the pointer is to our own zmq_msg_t; initialising an empty one cannot fail.
        unsafe { zmq_sys::zmq_msg_init(frame.0.get()) };
        frame
    }
}

impl Frame {
    /// Returns the address of the sender of a received frame; `None` for a copy of such a frame.
    pub fn peer_address(&self) -> Option<&str> {
        // SAFETY: the message is initialised, and the name ends with a NUL. The result ends with a
        // NUL and lives as long as the message.
        let address = unsafe {
            let address = zmq_sys::zmq_msg_gets(self.0.get(), c"Peer-Address".as_ptr());
            (!address.is_null()).then(|| CStr::from_ptr(address))
        };
        address?.to_str().ok()
    }

    /// Returns the file descriptor of the connection on which a frame was received; `None` for a
    /// copy of its bytes.
    ///
    /// The connection may be closed by now, and another one may have the same descriptor.
    pub fn source_fd(&self) -> Option<RawFd> {
        const ZMQ_SRCFD: c_int = 2;
        // SAFETY: the message is initialised.
        let fd = unsafe { zmq_sys::zmq_msg_get(self.0.get(), ZMQ_SRCFD) };
        (fd >= 0).then_some(fd)
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Frame {
        wire::MessageFrame::joined(&[bytes])
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Frame {
        if bytes.len() < Frame::MIN_SHARED_SIZE {
            return Frame::from(&bytes[..]);
        }
        let frame = Frame(UnsafeCell::new(zmq_msg_t::default()));
        let bytes = Box::new(bytes);
        let (data, length) = (bytes.as_ptr(), bytes.len());
        // SAFETY: libzmq reads `length` bytes at `data`, and calls `free` exactly once, with the
        // box as its hint.
        unsafe {
            let hint = Box::into_raw(bytes).cast();
            let failed = zmq_sys::zmq_msg_init_data(
                frame.0.get(),
                data.cast_mut().cast(),
                length,
                Some(free),
                hint,
            );
            assert_eq!(failed, 0, "out of memory for a frame");
        }
        frame
    }
}

/// Called by libzmq, on any thread, when the last frame that shares the bytes is closed.
unsafe extern "C" fn free(_data: *mut c_void, hint: *mut c_void) {
    // SAFETY: `hint` is the box that `From<Vec<u8>>` turned into a pointer.
    drop(unsafe { Box::from_raw(hint.cast::<Vec<u8>>()) });
}

impl Clone for Frame {
    fn clone(&self) -> Frame {
        let copy = Frame::empty();
        // SAFETY: both are initialised messages; libzmq counts references atomically.
        let failed = unsafe { zmq_sys::zmq_msg_copy(copy.0.get(), self.0.get()) };
        assert_eq!(failed, 0, "a valid frame can be copied");
        copy
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: the message is initialised and ours.
        unsafe { zmq_sys::zmq_msg_close(self.0.get()) };
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: data and size belong together; they are valid and unchanged as long as the frame
        // is borrowed.
        unsafe {
            let length = zmq_sys::zmq_msg_size(self.0.get());
            if length == 0 {
                return &[];
            }
            slice::from_raw_parts(zmq_sys::zmq_msg_data(self.0.get()).cast(), length)
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl wire::MessageFrame for Frame {
    fn copied(bytes: &[u8]) -> Frame {
        Frame::from(bytes)
    }
    fn owned(bytes: Vec<u8>) -> Frame {
        Frame::from(bytes)
    }

    fn joined(parts: &[&[u8]]) -> Frame {
        let frame = Frame(UnsafeCell::new(zmq_msg_t::default()));
        let length = parts.iter().map(|part| part.len()).sum();
        // SAFETY: after success the message has room for `length` bytes at zmq_msg_data, and no
        // other pointer to them exists; the parts fill it exactly.
        unsafe {
            let failed = zmq_sys::zmq_msg_init_size(frame.0.get(), length);
            assert_eq!(failed, 0, "out of memory for a frame of {length} bytes");
            let mut data: *mut u8 = zmq_sys::zmq_msg_data(frame.0.get()).cast();
            for part in parts {
                std::ptr::copy_nonoverlapping(part.as_ptr(), data, part.len());
                data = data.add(part.len());
            }
        }
        frame
    }

    /// Returns a frame that shares the bytes if it is large, and a copy if it is small.
    fn keep(&self) -> Frame {
        if self.as_ref().len() >= Frame::MIN_SHARED_SIZE {
            self.clone()
        } else {
            Frame::from(self.as_ref())
        }
    }
}

/// Receives one multipart message into `message`, whose old content is dropped. Returns false if
/// there is none.
///
/// # Errors
/// If the socket fails; a partly received message is lost.
pub fn recv(socket: &mut Socket, message: &mut Vec<Frame>) -> zmq::Result<bool> {
    message.clear();
    loop {
        let frame = Frame::empty();
        // SAFETY: the frame is an initialised message, the socket lives as long as its borrow.
        let received =
            unsafe { zmq_sys::zmq_msg_recv(frame.0.get(), socket.as_mut_ptr(), zmq::DONTWAIT) };
        if received < 0 {
            match last_error() {
                Error::EINTR => continue,
                Error::EAGAIN if message.is_empty() => return Ok(false),
                error => return Err(error),
            }
        }
        // SAFETY: the frame is an initialised message.
        let more = unsafe { zmq_sys::zmq_msg_more(frame.0.get()) } != 0;
        message.push(frame);
        if !more {
            return Ok(true);
        }
    }
}

/// Sends `message` as one multipart message, without waiting, and leaves it empty whatever happens.
///
/// # Errors
/// A ROUTER with `ROUTER_MANDATORY` fails with `EHOSTUNREACH` if the peer is disconnected, and with
/// `EAGAIN` if it does not read; the message is then dropped whole. Any other error is a failure of
/// the socket.
pub fn send(socket: &mut Socket, message: &mut Vec<Frame>) -> zmq::Result<()> {
    let last = message.len().saturating_sub(1);
    for (index, frame) in message.drain(..).enumerate() {
        let more = if index == last { 0 } else { zmq::SNDMORE };
        // SAFETY: the frame is an initialised message; after success it is an empty one, which drop
        // closes as well.
        while unsafe {
            zmq_sys::zmq_msg_send(frame.0.get(), socket.as_mut_ptr(), zmq::DONTWAIT | more)
        } < 0
        {
            match last_error() {
                Error::EINTR => {}
                error => return Err(error),
            }
        }
    }
    Ok(())
}

/// Configures the allocator to keep up to 64 MiB of freed memory, including blocks of up to 32 MiB.
/// By default it returns the pages of each large input to the kernel, which then has to clear pages
/// for the next one. [`return_free_memory`] returns the memory that is left after long queues.
pub fn keep_freed_memory() {
    #[cfg(target_env = "gnu")]
    {
        use std::ffi::c_int;

        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_THRESHOLD: c_int = -3;
        // SAFETY: it may be called at any time, on any thread.
        unsafe {
            mallopt(M_TRIM_THRESHOLD, 64 << 20);
            mallopt(M_MMAP_THRESHOLD, 32 << 20);
        }
    }
}

/// Returns the free memory that the allocator keeps to the kernel. Allocations of other threads may
/// wait for milliseconds meanwhile.
pub fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it may be called at any time, on any thread.
        unsafe { malloc_trim(0) };
    }
}

fn last_error() -> Error {
    // SAFETY: reads a thread-local number.
    Error::from_raw(unsafe { zmq_sys::zmq_errno() })
}

#[cfg(test)]
mod tests {
    use wire::MessageFrame as _;

    use super::*;

    fn pair() -> (Socket, Socket) {
        let context = zmq::Context::new();
        let left = context.socket(zmq::PAIR).unwrap();
        let right = context.socket(zmq::PAIR).unwrap();
        left.bind("tcp://127.0.0.1:*").unwrap();
        let address = left.get_last_endpoint().unwrap().unwrap();
        right.connect(&address).unwrap();
        (left, right)
    }

    fn wait(socket: &mut Socket) -> Vec<Frame> {
        let mut message = Vec::new();
        socket.poll(zmq::POLLIN, 5_000).unwrap();
        assert!(recv(socket, &mut message).unwrap());
        message
    }

    #[test]
    fn messages_arrive_whole_and_share_large_frames() {
        let (mut left, mut right) = pair();
        for size in [0, 33, 34, 4095, 4096, 700_000] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let kept = Frame::from(bytes.clone());
            for _ in 0..2 {
                let mut message = vec![Frame::from(&b"head"[..]), kept.clone()];
                assert_eq!(left.poll(zmq::POLLOUT, 5_000), Ok(1));
                send(&mut left, &mut message).unwrap();
                assert!(message.is_empty());
                let got = wait(&mut right);
                assert_eq!(got.len(), 2);
                assert_eq!(got[0].as_ref(), b"head");
                assert_eq!(got[1].keep().as_ref(), bytes);
                let shared = got[1].keep().as_ref().as_ptr() == got[1].as_ref().as_ptr();
                assert_eq!(shared || size == 0, size >= 4096 || size == 0);
            }
        }
    }

    #[test]
    fn received_frames_have_their_connections_descriptor() {
        let (mut left, mut right) = pair();
        let mut message = vec![Frame::from(&b"head"[..]), Frame::from(vec![1; 5_000])];
        assert_eq!(message[0].source_fd(), None);
        assert_eq!(left.poll(zmq::POLLOUT, 5_000), Ok(1));
        send(&mut left, &mut message).unwrap();
        let got = wait(&mut right);
        let fd = got[0].source_fd().unwrap();
        assert_eq!(got[1].source_fd(), Some(fd));
        assert_eq!(got[0].clone().source_fd(), Some(fd));
        assert_eq!(got[0].keep().source_fd(), None, "a small frame is copied");
    }

    #[test]
    fn receiving_without_a_message_is_no_error() {
        let (mut left, _right) = pair();
        let mut message = vec![Frame::from(&b"old"[..])];
        assert_eq!(recv(&mut left, &mut message), Ok(false));
        assert!(message.is_empty());
    }
}
