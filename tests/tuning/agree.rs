//! The broker's own look at the table, and tune's: the same answers on the same machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use corelane::tuning::{Profile, check_at};

use super::machine::{FIXTURES, Machine};

#[test]
fn the_broker_and_tune_agree() {
    for fixture in FIXTURES {
        let mut machine = Machine::new(fixture);
        for profile in ["prod", "latency", "container", "dev"] {
            machine.profile = profile;
            let dirs: Vec<PathBuf> = match fixture {
                "nvme-16c" => vec!["/data/a".into(), "/data/b".into()],
                _ => vec!["/var/lib/corelane/data".into()],
            };
            let said: BTreeMap<String, String> = machine
                .rows("check --json")
                .iter()
                .map(|row| {
                    (
                        row["id"].as_str().unwrap().to_owned(),
                        row["status"].as_str().unwrap().to_owned(),
                    )
                })
                .collect();
            let found = check_at(&machine.root, Profile::named(profile).unwrap(), &dirs);
            assert!(found.len() >= 4, "{fixture} {profile}: {found:?}");
            for finding in found.iter().filter(|finding| finding.knob.kind != "limit") {
                let id = &finding.id;
                assert_eq!(
                    said.get(id).map(String::as_str),
                    Some(finding.status.name()),
                    "{fixture} {profile} {id}"
                );
            }
        }
    }
}
