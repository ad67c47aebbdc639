//! What members may cost: sizes, numbers, and what is left of them when they go.

use super::*;

fn reminders_of_members(rig: &Rig) -> usize {
    format!("{:?}", rig.coordinator.deadlines).matches("Member(").count()
}

#[test] // Goal: a member has one reminder, whatever it asks for, and takes it along when it goes or comes back.
fn a_member_takes_its_reminder_along() {
    let mut rig = Rig::new();
    rig.stable(&["a"]);
    assert_eq!(reminders_of_members(&rig), 1);
    for round in 0..20 {
        let id = format!("b{round}");
        rig.put(join(&id));
        assert_eq!(reminders_of_members(&rig), 2);
        let leaver = Leaver {
            member_id: id,
            ..Leaver::default()
        };
        assert_eq!(rig.leave(leaver), ErrorCode::None);
        assert_eq!(reminders_of_members(&rig), 1);
    }
    for round in 0..20 {
        rig.put(GroupRequest::Join(static_join("i", &format!("s{round}"), 5)));
        assert_eq!(reminders_of_members(&rig), 2);
        rig.pass(1);
    }
    for seconds in (6..20).rev() {
        let shorter = Join {
            session_timeout: Duration::from_secs(seconds),
            ..rejoin("a")
        };
        rig.put(GroupRequest::Join(shorter));
        assert_eq!(reminders_of_members(&rig), 2, "{seconds} s");
        rig.pass(1);
    }
}

#[test] // Goal: metadata that no record can hold is refused, the largest that one can hold is taken and handed on.
fn metadata_has_a_largest_size() {
    let config = config();
    let with = |bytes: usize| Join {
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: vec![0; bytes].into(),
        }],
        ..new_join("m")
    };
    let mut rig = Rig::new();
    let ticket = rig.put(GroupRequest::Join(with(config.record_bytes_max + 1)));
    assert_eq!(rig.joined(ticket).error, ErrorCode::InvalidRequest);
    assert_eq!(rig.state(), "none");
    let largest = config.record_bytes_max - 512;
    let ticket = rig.put(GroupRequest::Join(with(largest)));
    rig.pass(3_000);
    let reply = rig.joined(ticket);
    assert_eq!(
        (reply.error, reply.members[0].metadata.len()),
        (ErrorCode::None, largest)
    );
    rig.settle(&[reply]);
}

#[test] // Goal: a static member that comes back with more than the group's record has room for is refused, and the one
// before it stays; with a little it is welcome.
fn a_static_member_comes_back_with_too_much() {
    let back = |bytes: usize, id: &str| {
        let metadata = [&protocol("range", &["t"]).metadata[..], &vec![0; bytes]].concat();
        Join {
            protocols: vec![Protocol {
                name: "range".into(),
                metadata: metadata.into(),
            }],
            ..static_join("i", id, 5)
        }
    };
    let mut rig = Rig::new();
    let ticket = rig.put(GroupRequest::Join(static_join("i", "s1", 5)));
    rig.pass(3_000);
    let reply = rig.joined(ticket);
    let generation = rig.settle(&[reply]);
    let written = rig.log.len();

    let ticket = rig.put(GroupRequest::Join(back(config().record_bytes_max - 50, "s2")));
    assert_eq!(rig.joined(ticket).error, ErrorCode::UnknownServerError);
    assert_eq!((rig.state(), rig.log.len()), ("Stable", written));
    let heartbeat = Heartbeat {
        group: "g".into(),
        sender: sender("s1", Some("i"), generation),
    };
    let heard = rig.ask(GroupRequest::Heartbeat(heartbeat));
    assert_eq!(heard, GroupReply::Heard(ErrorCode::None));

    let ticket = rig.put(GroupRequest::Join(back(1_000, "s3")));
    assert_eq!(rig.joined(ticket).error, ErrorCode::None);
    assert_eq!(rig.log.len(), written + 1);
    let record = rig.log[written].value.as_ref().map_or(0, Bytes::len);
    assert!(record <= config().record_bytes_max);
}

#[test] // Goal (group.max.size): a million that want in cost no more than those that there is room for.
fn a_million_ask_for_a_small_group() {
    const ROOM: usize = 10;
    let small = GroupConfig {
        size_max: ROOM,
        ..config()
    };
    let mut rig = Rig::with(small, Vec::new(), 1_000);
    let mut refused = 0;
    for at in 0..1_000_000 {
        let ticket = rig.put(join(&format!("m{at}")));
        if let Some(GroupReply::Joined(reply)) = rig.replies.remove(&ticket) {
            assert_eq!(reply.error, ErrorCode::GroupMaxSizeReached);
            refused += 1;
        }
    }
    assert_eq!(refused, 1_000_000 - ROOM);
    assert_eq!(rig.describe().map(|group| group.members.len()), Some(ROOM));
    assert_eq!(reminders_of_members(&rig), ROOM);
}
