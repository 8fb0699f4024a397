//! Connections below a session: requests as bytes, and how a client that crashed ends.

use std::net::TcpStream;
use std::os::fd::AsRawFd;

use serde_json::{Value, json};

/// A request as it is sent.
pub fn request(seq: u32, command: &str, arguments: &Value) -> Vec<u8> {
    let message =
        json!({ "seq": seq, "type": "request", "command": command, "arguments": arguments });
    let mut bytes = Vec::new();
    dap::frame(&[message.to_string().as_bytes()], &mut bytes);
    bytes
}

/// Closes the connection with a reset, as that of a client that crashed.
///
/// # Panics
///
/// Where the kernel refuses.
pub fn reset(stream: TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // SAFETY: setsockopt(2) reads a linger of the given size from a pointer that is valid during the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
