//! Whose a connection's other end is, when both are on this machine.
//!
//! The kernel tells it by sock_diag(7), which works in every network namespace and needs no privilege, and by the tables
//! of proc_net(5), which are read where netlink is not to be had. Both tell of a socket that no process has any more
//! that it is root's; what gives it away is that it has no inode.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Whose a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user with this number in our user namespace.
    User(u32),
    /// A user that has none there.
    Unmapped,
    /// It is closed, or there is none.
    Nobody,
}

/// The owner of the socket at `peer` that is connected to `local`.
///
/// # Errors
///
/// When the system does not tell.
pub fn of_peer(peer: SocketAddr, local: SocketAddr) -> io::Result<Owner> {
    let pair = Pair {
        from: canonical(peer),
        to: canonical(local),
    };
    let found = match by_netlink(pair) {
        Ok(Some(found)) => Some(found),
        // None may also mean that the kernel was built without these answers.
        Ok(None) => by_proc(pair)?,
        Err(netlink) => by_proc(pair).map_err(|proc| {
            io::Error::other(format!(
                "NETLINK_SOCK_DIAG: {netlink}; /proc/net/tcp: {proc}"
            ))
        })?,
    };
    match found {
        None | Some(Found { inode: 0, .. }) => Ok(Owner::Nobody),
        Some(Found { user, .. }) if is_overflow(user)? => Ok(Owner::Unmapped),
        Some(Found { user, .. }) => Ok(Owner::User(user)),
    }
}

/// A connection from the side that we ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    from: SocketAddr,
    to: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    user: u32,
    inode: u32,
}

/// IPv4 is IPv4 however it is written, and what does not name a socket is left out.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether the number stands for users that our user namespace does not know (user_namespaces(7)): the kernel gives all
/// of them the same one, which may also be our own.
fn is_overflow(user: u32) -> io::Result<bool> {
    const INITIAL: [&str; 3] = ["0", "0", "4294967295"];
    let map = std::fs::read_to_string("/proc/self/uid_map");
    if map.is_ok_and(|map| map.split_whitespace().eq(INITIAL)) {
        return Ok(false);
    }
    let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid")?;
    Ok(overflow.trim().parse() == Ok(user))
}

/// The length of `nlmsghdr` (linux/netlink.h).
const HEADER: usize = 16;
/// The length of `inet_diag_req_v2` (linux/inet_diag.h).
const REQUEST: usize = 56;
/// Where `inet_diag_sockid` stands in `inet_diag_msg`, and its length.
const ID: usize = 4;
const ID_LENGTH: usize = 48;
/// From linux/sock_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Its number in each network namespace: `LOOPBACK_IFINDEX` of the kernel. A client may have bound its socket to it.
const LOOPBACK_INDEX: u32 = 1;
/// `TCP_LISTEN` of the kernel: what it finds where there is no connection.
const LISTEN: u8 = 10;

/// Asks for the one socket; `None` if there is none.
fn by_netlink(pair: Pair) -> io::Result<Option<Found>> {
    let protocol = Protocol::from(libc::NETLINK_SOCK_DIAG);
    let mut socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::DGRAM, Some(protocol))?;
    // The answer is there when the request is sent; if it is not, nobody is kept waiting.
    socket.set_nonblocking(true)?;
    socket.write_all(&request(pair))?;
    let mut answer = [0; 4096];
    let length = socket.read(&mut answer)?;
    parse_answer(answer.get(..length).unwrap_or_default(), pair)
}

fn request(pair: Pair) -> [u8; HEADER + REQUEST] {
    let family = match pair.from.ip() {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    // nlmsghdr: length, type, flags, sequence number, port. The numbers of these are small.
    bytes.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    bytes.extend([0; 8]);
    // inet_diag_req_v2: family, protocol, extensions, padding, all states, and the socket's id: ports, addresses,
    // interface, and a cookie that says that we have none (INET_DIAG_NOCOOKIE).
    bytes.extend([family as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(pair.from.port().to_be_bytes());
    bytes.extend(pair.to.port().to_be_bytes());
    bytes.extend(address(pair.from.ip()));
    bytes.extend(address(pair.to.ip()));
    bytes.extend(LOOPBACK_INDEX.to_ne_bytes());
    bytes.extend([u8::MAX; 8]);
    let mut request = [0; HEADER + REQUEST];
    request
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    request
}

/// As the kernel has it: 16 bytes in the network's order.
fn address(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn parse_answer(answer: &[u8], pair: Pair) -> io::Result<Option<Found>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "an answer that is none");
    let kind = u16::from_ne_bytes(field(answer, 4).ok_or_else(broken)?);
    let body = answer.get(HEADER..).ok_or_else(broken)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let code = i32::from_ne_bytes(field(body, 0).ok_or_else(broken)?);
        let error = io::Error::from_raw_os_error(code.wrapping_neg());
        return match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            _ => Err(error),
        };
    }
    // inet_diag_msg: family, state, timer, retransmissions, the id, expiry, two queues, user, inode.
    let [family, state] = field(body, 0).ok_or_else(broken)?;
    let id: [u8; ID_LENGTH] = field(body, ID).ok_or_else(broken)?;
    let [user, inode] = [12, 16].map(|at| field(body, ID + ID_LENGTH + at).map(u32::from_ne_bytes));
    let found = Found {
        user: user.ok_or_else(broken)?,
        inode: inode.ok_or_else(broken)?,
    };
    let same = Pair::of_id(family, &id) == Some(pair);
    Ok((kind == SOCK_DIAG_BY_FAMILY && state != LISTEN && same).then_some(found))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl Pair {
    /// Of an `inet_diag_sockid`.
    fn of_id(family: u8, id: &[u8]) -> Option<Self> {
        let end = |port: usize, address: usize| {
            let port = u16::from_be_bytes(field(id, port)?);
            let address = match i32::from(family) {
                libc::AF_INET => IpAddr::V4(Ipv4Addr::from(field::<4>(id, address)?)),
                _ => IpAddr::V6(Ipv6Addr::from(field::<16>(id, address)?)),
            };
            Some(canonical(SocketAddr::new(address, port)))
        };
        Some(Self {
            from: end(0, 4)?,
            to: end(2, 20)?,
        })
    }
}

/// Looks the socket up in the tables of this thread's network namespace.
fn by_proc(pair: Pair) -> io::Result<Option<Found>> {
    let mut failed = None;
    // An IPv4 connection of an IPv6 socket is in the second.
    for table in ["tcp", "tcp6"] {
        match std::fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(table) => {
                let mut rows = table.lines().skip(1).filter_map(parse_row);
                if let Some((_, found)) = rows.find(|(row, _)| *row == pair) {
                    return Ok(Some(found));
                }
            }
            // There is no IPv6.
            Err(error) if table == "tcp6" && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// A row: number, this end, the other end, state, queues, timer, retransmissions, user, timeout, inode.
fn parse_row(row: &str) -> Option<(Pair, Found)> {
    let mut fields = row.split_whitespace().skip(1);
    let from = parse_end(fields.next()?)?;
    let to = parse_end(fields.next()?)?;
    let mut fields = fields.skip(4);
    let user = fields.next()?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some((Pair { from, to }, Found { user, inode }))
}

/// `0100007F:1F90`: words of four bytes, each printed as a number in the machine's order, and the port.
fn parse_end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(canonical(SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests;
