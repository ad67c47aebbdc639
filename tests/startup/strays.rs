//! Partition directories whose topic is not in the metadata.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Broker;

/// As after a crash between a topic's deletion and that of its files; and as carried over from another broker.
#[test]
fn strays_make_room_and_are_kept() {
    let mut broker = Broker::start(&[]);
    broker.tool("topics", "--create --topic kept --partitions 2", "");
    broker.tool("console-producer", "--topic kept", "one\n");
    assert!(broker.terminate().success());
    let segment = "00000000000000000000.log";
    let gone = broker.data_dir().join("gone-0");
    make(
        &gone,
        Some("BwcHBwcHBwcHBwcHBwcHBw"),
        segment,
        "records of another life",
    );
    make(&broker.data_dir().join("old.style-3"), None, segment, "older still");

    broker.restart();
    let log = broker.log();
    for path in ["gone-0", "old.style-3"] {
        let named: Vec<_> = log.lines().filter(|line| line.contains(path)).collect();
        assert_eq!(named.len(), 1, "one line: {log}");
        assert!(named[0].contains("stray directory") && named[0].contains("BwcHBw") == (path == "gone-0"));
    }
    let aside = stray(&broker, "gone-0.");
    assert_eq!(
        fs::read_to_string(aside.join(segment)).unwrap(),
        "records of another life"
    );
    assert!(stray(&broker, "old.style-3.").join(segment).exists());
    assert!(!gone.exists());

    // The name is free for a topic that begins at 0, and the topic that was there is as it was.
    broker.tool("topics", "--create --topic gone --partitions 1", "");
    broker.tool("console-producer", "--topic gone", "new\n");
    let read = "--from-beginning --max-messages 1 --property print.offset=true --topic";
    assert_eq!(
        broker.tool("console-consumer", &format!("{read} gone"), ""),
        "Offset:0\tnew\n"
    );
    assert_eq!(
        broker.tool("console-consumer", &format!("{read} kept"), ""),
        "Offset:0\tone\n"
    );

    // Counted, and said once: the next start counts them again and has nothing to say.
    assert!(broker.terminate().success());
    broker.restart();
    assert_eq!(broker.metric("corelane_stray_directories"), 2);
    assert_eq!(broker.log().matches("stray directory").count(), 2);
}

fn make(dir: &Path, topic_id: Option<&str>, file: &str, content: &str) {
    fs::create_dir(dir).unwrap();
    fs::write(dir.join(file), content).unwrap();
    if let Some(id) = topic_id {
        fs::write(dir.join("partition.metadata"), format!("version: 0\ntopic_id: {id}")).unwrap();
    }
}

fn stray(broker: &Broker, start: &str) -> PathBuf {
    let names = fs::read_dir(broker.data_dir()).unwrap();
    let mut strays = names.map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(start) && name.ends_with("-stray")
    });
    strays.next().unwrap_or_else(|| panic!("no stray {start}"))
}
