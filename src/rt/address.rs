//! Addresses to listen on: names resolved, and found to be free.

use std::io;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

pub use std::net::SocketAddr;

use super::lane::oneshot;

/// The address behind a host name and port; no host means all addresses of this machine.
pub fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let found = (host, port).to_socket_addrs()?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "host has no address"))
}

/// As [`resolve`], from a shard or the control thread: asking a name server may take seconds, so a thread of its own does.
pub async fn lookup(host: &str, port: u16) -> io::Result<SocketAddr> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let (tx, rx) = oneshot();
    let host = host.to_owned();
    thread::Builder::new()
        .name("corelane-lookup".to_owned())
        .spawn(move || tx.send(resolve(&host, port)))?;
    let found = rx.await;
    found.unwrap_or_else(|| Err(io::Error::other("the thread that looked the host up is gone")))
}

/// Listens for a moment without SO_REUSEPORT, so that a port which another process holds is noticed: the shards' sockets
/// would share it with that process in silence. Gives the address back, with a free port where 0 was asked for.
///
/// The kernel lets go of a killed process's io_uring, and of the sockets in it, a moment after the process is gone: a port
/// that is taken is tried again for [`CLAIM_PATIENCE`].
pub fn claim(addr: SocketAddr) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + CLAIM_PATIENCE;
    loop {
        match TcpListener::bind(addr) {
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(CLAIM_RETRY);
            }
            bound => return bound?.local_addr(),
        }
    }
}

const CLAIM_PATIENCE: Duration = Duration::from_secs(2);
const CLAIM_RETRY: Duration = Duration::from_millis(5);

/// Whether a host's name or address is this machine's: a socket can be bound to it.
pub fn is_own_host(host: &str) -> bool {
    let addresses = (host, 0).to_socket_addrs();
    addresses.is_ok_and(|mut found| found.any(|address| TcpListener::bind(address).is_ok()))
}

/// Whether all addresses of a host's name are this machine's, so that nobody else is found by it.
pub fn is_only_own_host(host: &str) -> bool {
    // Of loopback also where its protocol is off.
    let is_own = |address: &SocketAddr| address.ip().is_loopback() || TcpListener::bind(address).is_ok();
    let found = (host, 0).to_socket_addrs().map(Vec::from_iter).unwrap_or_default();
    !found.is_empty() && found.iter().all(is_own)
}

/// This machine's name, for clients that are to be told where to connect.
pub fn host_name() -> io::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    Ok(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{claim, is_only_own_host, is_own_host, resolve};

    #[test]
    fn a_port_that_is_listened_on_cannot_be_claimed() {
        let free = claim(resolve("127.0.0.1", 0).unwrap()).unwrap();
        assert_ne!(free.port(), 0);
        let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert!(claim(holder.local_addr().unwrap()).is_err());
    }

    #[test]
    fn this_machine_knows_its_own_hosts() {
        assert!(is_own_host("127.0.0.1") && is_own_host("localhost"));
        assert!(!is_own_host("203.0.113.1"), "an address for documentation is nobody's");
        assert!(is_only_own_host("127.0.0.1") && is_only_own_host("localhost"));
        assert!(!is_only_own_host("203.0.113.1") && !is_only_own_host("no such host"));
    }

    #[test]
    fn a_shard_looks_hosts_up_without_waiting_itself() {
        let found = crate::rt::testing::on_shard(|| async {
            let name = super::lookup("localhost", 9092).await.unwrap();
            let number = super::lookup("127.0.0.1", 9092).await.unwrap();
            (
                name.port(),
                number.to_string(),
                super::lookup("no such host", 1).await.is_err(),
            )
        });
        assert_eq!(found, (9092, "127.0.0.1:9092".to_owned(), true));
    }

    #[test]
    fn no_host_means_all_addresses() {
        assert_eq!(resolve("", 9092).unwrap().to_string(), "0.0.0.0:9092");
        assert!(resolve("no such host", 9092).is_err());
    }
}
