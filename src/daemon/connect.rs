//! From a host to a connection.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::thread;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::deadline::Deadline;
use super::failure::{Failure, Phase};
use super::url::Host;

/// Connects to the first address of `host` that answers.
///
/// # Errors
///
/// [`Failure::Lookup`], [`Failure::Connect`], [`Failure::Timeout`].
pub async fn connect(host: &Host, port: u16, deadline: &Deadline) -> Result<TcpStream, Failure> {
    let addresses = deadline
        .wait(Phase::Lookup, addresses(host, port))
        .await?
        .map_err(Failure::Lookup)?;
    let mut failure = Failure::Lookup(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    for (tried, address) in addresses.iter().enumerate() {
        // An address that swallows everything must not take the time of the one that works.
        let deadline = deadline.share(addresses.len() - tried);
        match deadline
            .wait(Phase::Connect, TcpStream::connect(address))
            .await
        {
            Ok(Ok(stream)) => {
                // Only costs time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => {
                failure = Failure::Connect {
                    address: *address,
                    error,
                }
            }
            Err(timeout) => failure = timeout,
        }
    }
    Err(failure)
}

/// The addresses of `host`. For an address, and for `localhost`, nobody is asked and no thread is started.
async fn addresses(host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        // RFC 6761, section 6.3: it always is the loopback interface.
        Host::Name(name) if name.eq_ignore_ascii_case("localhost") => Ok(vec![
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
        ]),
        Host::Name(name) => look_up(name.clone(), port).await,
    }
}

/// Asks the system's resolver, which blocks, on a thread that ends with the answer. One of tokio's would stay for ten
/// more seconds, and would hold up the end of the runtime for as long as the resolver takes.
async fn look_up(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name("detrix-resolver".to_owned())
        .spawn(move || {
            let found = (name.as_str(), port)
                .to_socket_addrs()
                .map(Iterator::collect);
            // Whoever asked may have given up.
            let _ = answer.send(found);
        })?;
    answered
        .await
        .unwrap_or_else(|_| Err(io::Error::other("the resolver's thread has ended")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn addresses_and_localhost_are_known_without_asking() {
        let ip = addresses(&Host::Ip([10, 0, 0, 1].into()), 1).await.unwrap();
        assert_eq!(ip, ["10.0.0.1:1".parse().unwrap()]);
        let local = addresses(&Host::Name("LocalHost".to_owned()), 2)
            .await
            .unwrap();
        assert_eq!(
            local,
            ["127.0.0.1:2".parse().unwrap(), "[::1]:2".parse().unwrap()]
        );
    }

    /// A listener at `[::1]`, and what holds its port at `127.0.0.1` without listening there.
    fn on_ipv6_alone() -> Option<(std::net::TcpListener, TcpSocket)> {
        loop {
            let listener = std::net::TcpListener::bind("[::1]:0").ok()?;
            let port = listener.local_addr().unwrap().port();
            let refuses = TcpSocket::new_v4().unwrap();
            // Another test may have that port.
            if refuses.bind((Ipv4Addr::LOCALHOST, port).into()).is_ok() {
                return Some((listener, refuses));
            }
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_leaves_the_next_its_turn() {
        let Some((listener, _refuses)) = on_ipv6_alone() else {
            detrix_test_support::skip("an_address_that_refuses_leaves_the_next_its_turn");
            return;
        };
        let address = listener.local_addr().unwrap();
        let deadline = Deadline::within(Duration::from_secs(60));
        let host = Host::Name("localhost".to_owned());
        let stream = connect(&host, address.port(), &deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_told_as_such() {
        // RFC 6761, section 6.4: it never does.
        let host = Host::Name("detrix.invalid".to_owned());
        let deadline = Deadline::within(Duration::from_secs(60));
        let failure = connect(&host, 80, &deadline).await.unwrap_err();
        assert!(matches!(failure, Failure::Lookup(_)), "{failure}");
        assert!(
            failure.to_string().contains("DETRIX_DAEMON_URL"),
            "{failure}"
        );
    }
}
