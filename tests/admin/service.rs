//! The talk with the service manager: what systemd would be told.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::support::{Broker, wait_until};

/// Stands in for systemd.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn listen(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Manager {
            socket,
            heard: Vec::new(),
        }
    }

    fn listen_on(&mut self) {
        let mut word = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut word) {
            let text = String::from_utf8_lossy(&word[..length]).into_owned();
            self.heard.extend(text.lines().map(str::to_string));
        }
    }

    fn wait_for(&mut self, word: &str) {
        wait_until(word, || {
            self.listen_on();
            self.heard.iter().any(|heard| heard == word)
        });
    }

    fn count(&self, word: &str) -> usize {
        self.heard.iter().filter(|heard| *heard == word).count()
    }
}

pub fn signal(broker: &Broker, name: &str) {
    let status = std::process::Command::new("kill")
        .args([name, &broker.pid().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Readiness once it serves, the watchdog fed, a reload framed, and the end announced.
#[test]
fn the_service_manager_hears_what_happens() {
    // Not under target/: the path of a socket has 108 bytes at most.
    let path = std::env::temp_dir().join(format!("corelane-{}.sock", std::process::id()));
    let mut manager = Manager::listen(&path);
    let mut broker = Broker::start(&[("shard.count", "2")]);
    assert!(broker.terminate().success());
    broker.restart_with(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")]);
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=serving");
    manager.wait_for("WATCHDOG=1");
    signal(&broker, "-HUP");
    manager.wait_for("RELOADING=1");
    wait_until("the reload has ended", || {
        manager.listen_on();
        manager.count("READY=1") == 2
    });
    assert!(manager.heard.iter().any(|word| word.starts_with("MONOTONIC_USEC=")));
    assert!(broker.terminate().success());
    manager.wait_for("STOPPING=1");
    std::fs::remove_file(path).unwrap();
}
