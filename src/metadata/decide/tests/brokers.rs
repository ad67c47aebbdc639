//! Brokers that come, are silent, shut down, and go for good.

use super::rig::{Rig, dirs, registration};
use super::*;
use crate::metadata::command::{AssignDirectories, Election, Heartbeat, NO_CLEAN_EPOCH, Registration};
use crate::rt::Instant;

fn code<T: std::fmt::Debug>(result: Result<T, CommandError>) -> ErrorCode {
    result.unwrap_err().code
}

/// A broker is fenced until its image holds its registration.
#[test]
fn a_broker_becomes_active_once_it_has_caught_up() {
    let mut rig = Rig::new(1);
    let epoch = rig.register(1, 1, NO_CLEAN_EPOCH).unwrap();
    assert_eq!(epoch as u64, rig.image.epoch.0, "the commit of the registration");
    assert!(!rig.is_active(1));
    let behind = Heartbeat {
        image_epoch: ImageEpoch(epoch as u64 - 1),
        ..rig.heartbeat(1)
    };
    assert_eq!(rig.beat_with(behind).unwrap(), (false, true, false));
    let unwilling = Heartbeat {
        want_fence: true,
        ..rig.heartbeat(1)
    };
    assert_eq!(rig.beat_with(unwilling).unwrap(), (true, true, false));
    assert_eq!(rig.beat(1), (true, false, false));
    assert!(rig.is_active(1));
}

/// The same process again gets the same epoch; another process of the id waits for the session's end.
#[test]
fn a_second_process_of_an_id_waits_for_the_end_of_the_first() {
    let mut rig = Rig::new(2);
    let first = rig.epoch(1);
    assert_eq!(rig.register(1, 1, NO_CLEAN_EPOCH).unwrap(), first);
    assert!(rig.is_active(1), "a repeated registration changes nothing");
    let second = rig.register(1, 2, NO_CLEAN_EPOCH);
    assert_eq!(code(second), ErrorCode::DuplicateBrokerRegistration);
    rig.silence(1);
    assert!(rig.register(1, 2, NO_CLEAN_EPOCH).unwrap() > first);
    // What the first one still says is refused.
    let stale = Heartbeat {
        epoch: first,
        ..rig.heartbeat(1)
    };
    assert_eq!(code(rig.beat_with(stale)), ErrorCode::StaleBrokerEpoch);
    let stranger = Heartbeat {
        id: BrokerId(7),
        ..rig.heartbeat(1)
    };
    assert_eq!(code(rig.beat_with(stranger)), ErrorCode::BrokerIdNotRegistered);
}

/// Two registrations of an id in one commit have epochs of their own.
#[test]
fn every_registration_has_an_epoch_of_its_own() {
    let mut rig = Rig::new(1);
    let first = rig.register(5, 1, NO_CLEAN_EPOCH).unwrap();
    rig.image.epoch.0 = first as u64 - 1;
    rig.live.contacts.remove(&BrokerId(5));
    let second = rig.register(5, 2, NO_CLEAN_EPOCH).unwrap();
    assert!(second > first);
    // An image that is as new as there is one has caught up.
    assert_eq!(rig.beat(5), (true, false, false));
}

/// What KRaft says of directories that cannot be.
#[test]
fn log_directories_are_checked() {
    let mut rig = Rig::new(1);
    let none = DirId::UNASSIGNED;
    let cases = [
        (vec![], "No directories specified in request".to_owned()),
        (vec![none], "Reserved directory ID in request".to_owned()),
        (
            vec![dirs(3)[0], dirs(3)[0]],
            "Duplicate directory ID in request".to_owned(),
        ),
        (
            dirs(0),
            format!("Broker 0 is already registered with directory {}", dirs(0)[0]),
        ),
    ];
    for (log_dirs, message) in cases {
        let asked = Registration {
            log_dirs,
            ..registration(3, 1)
        };
        let error = rig.register_with(asked).unwrap_err();
        assert_eq!((error.code, error.message), (ErrorCode::InvalidRegistration, message));
    }
}

/// Silence ends a session, and another replica leads; the broker's next heartbeat makes it active again.
#[test]
fn a_silent_broker_is_fenced_and_another_leads() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
    rig.pass_ms(8_900, &[1, 2]);
    assert_eq!(rig.show(), "0@0 isr=0,1,2");
    rig.pass_ms(200, &[1, 2]);
    assert_eq!(rig.show(), "1@1 isr=1,2");
    assert_eq!(rig.beat(0), (true, false, false));
    assert_eq!(rig.show(), "1@1 isr=1,2");
}

/// The controller looks again when the first session may be over, and not for a broker whose session it has ended.
#[test]
fn the_first_session_to_end_is_known() {
    let mut rig = Rig::new(3);
    let began = rig.live.now_ns;
    let after = |ms: u64| Some(Instant(began + ms * 1_000_000));
    let next = |rig: &Rig| next_session_end(&rig.image, &rig.live.contacts);
    rig.pass_ms(4_000, &[1, 2]);
    assert_eq!(next(&rig), after(9_000));
    rig.pass_ms(4_999, &[2]);
    assert!(silent_brokers(&rig.image, &rig.live).is_empty());
    rig.pass_ms(1, &[]);
    assert!(rig.image.brokers[&BrokerId(0)].fenced);
    assert_eq!(next(&rig), after(13_000));
}

/// A heartbeat that came between the look and the decision saves the broker.
#[test]
fn who_was_heard_meanwhile_is_not_fenced() {
    let mut rig = Rig::new(2);
    let epoch = rig.epoch(1);
    rig.live.now_ns += 10_000_000_000;
    rig.beat(1);
    let asked = |epoch| Command::FenceSilent {
        broker: BrokerId(1),
        epoch,
    };
    let Ok(Reply::FenceSilent { was_fenced: false }) = rig.ask(asked(epoch)) else {
        panic!("it was heard")
    };
    rig.live.now_ns += 10_000_000_000;
    let Ok(Reply::FenceSilent { was_fenced: false }) = rig.ask(asked(epoch - 1)) else {
        panic!("that was an earlier life")
    };
    let Ok(Reply::FenceSilent { was_fenced: true }) = rig.ask(asked(epoch)) else {
        panic!("it was silent")
    };
}

/// A process that has ended has no session, however lately it was heard; its next life has one.
#[test]
fn who_has_ended_is_fenced_before_its_session_is_over() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1, 0]], &[]);
    let epoch = rig.epoch(1);
    rig.live.contacts.get_mut(&BrokerId(1)).unwrap().has_ended = true;
    assert_eq!(silent_brokers(&rig.image, &rig.live), [(BrokerId(1), epoch)]);
    let began = rig.live.now_ns;
    let next = next_session_end(&rig.image, &rig.live.contacts);
    assert_eq!(next, Some(Instant(began + 9_000_000_000)), "the other's");
    rig.pass_ms(1, &[]);
    assert_eq!(rig.show(), "0@1 isr=0");
    rig.register(1, 2, -1).unwrap();
    assert_eq!(rig.beat(1), (true, false, false));
    assert!(silent_brokers(&rig.image, &rig.live).is_empty());
}

/// Leaders move, everybody learns of it, and only then the broker closes; clients are told of it until it has.
#[test]
fn a_controlled_shutdown_waits_until_all_know() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1, 2], &[1, 2, 0]], &[]);
    assert_eq!(rig.leave(0), (true, false, false));
    assert_eq!(rig.show(), "1@1 isr=1,2");
    assert_eq!(rig.state(1).isr, [BrokerId(1), BrokerId(2)]);
    assert!(!rig.is_active(0) && !rig.image.brokers[&BrokerId(0)].fenced);
    // It cannot come back into an ISR.
    assert_eq!(rig.set_isr(&[1, 2, 0]), Err(ErrorCode::IneligibleReplica));
    rig.beat(1);
    assert_eq!(rig.leave(0), (true, false, false), "2 has not seen it");
    rig.beat(2);
    assert_eq!(rig.leave(0), (true, false, true));
    assert_eq!(rig.leave(0), (true, false, true), "the answer may have been lost");
    let again = rig.register(0, 2, -1).unwrap_err();
    assert_eq!(again.code, ErrorCode::DuplicateBrokerRegistration);
    assert_eq!(rig.close(0), (true, true, true));
    assert_eq!(rig.close(0), (true, true, true), "the answer may have been lost");
    // A start right after it need not wait for a session.
    let clean = rig.epoch(0);
    rig.register(0, 2, clean).unwrap();
    assert_eq!(rig.beat(0), (true, false, false));
}

/// It does not wait for those that have not heard of it for ever, and its session need not be waited for.
#[test]
fn a_broker_that_closes_before_all_know_is_fenced() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[0, 1]], &[]);
    assert_eq!(rig.leave(0), (true, false, false));
    assert_eq!(rig.close(0), (true, true, true));
    assert_eq!(rig.show(), "1@1 isr=1");
}

/// Nobody waits for a broker that leads nothing.
#[test]
fn a_broker_without_leaderships_ends_at_once() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[0, 1]], &[]);
    assert_eq!(rig.leave(1), (true, true, true));
    assert_eq!(rig.show(), "0@0 isr=0");
}

/// A broker that ended in order is eligible; one that crashed may have lost what it acknowledged. //= KIP-966
#[test]
fn an_unclean_end_is_the_end_of_eligibility() {
    for is_clean in [true, false] {
        let mut rig = Rig::new(3);
        rig.topic(&[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
        rig.silence(2);
        rig.silence(1);
        assert_eq!(rig.show(), "0@0 isr=0 elr=1");
        let clean_epoch = if is_clean { rig.epoch(1) } else { NO_CLEAN_EPOCH };
        rig.register(1, 2, clean_epoch).unwrap();
        rig.silence(0);
        let expected = if is_clean { "elr=0,1" } else { "elr=0" };
        assert_eq!(rig.show(), format!("none@1 isr= {expected} last=0"));
        rig.beat(1);
        let expected = match is_clean {
            true => "1@2 isr=1 elr=0",
            false => "none@1 isr= elr=0 last=0",
        };
        assert_eq!(rig.show(), expected);
    }
}

/// The only replica crashed and is back: it leads, but says that records may be missing.
#[test]
fn the_last_leader_leads_for_want_of_anybody_better() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1]], &[]);
    rig.silence(1);
    assert_eq!(rig.show(), "none@1 isr= elr=1 last=1");
    rig.register(1, 2, NO_CLEAN_EPOCH).unwrap();
    assert_eq!(rig.show(), "none@1 isr= last=1");
    rig.beat(1);
    assert_eq!(rig.show(), "1@2 isr=1 recovering");
    assert!(!rig.set_isr(&[1]).unwrap().leader_recovering);
}

/// Not as long as another one may hold everything.
#[test]
fn the_last_leader_waits_for_the_eligible() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0, 1]], &[("min.insync.replicas", "2")]);
    rig.silence(1);
    rig.silence(0);
    rig.register(0, 2, NO_CLEAN_EPOCH).unwrap();
    rig.beat(0);
    assert_eq!(rig.show(), "none@1 isr= elr=1 last=0");
    rig.beat(1);
    assert_eq!(rig.show(), "1@2 isr=1");
}

/// A replica whose disk is gone leads nothing, whatever the broker says of its end, until it is told another disk.
#[test]
fn a_lost_disk_is_noticed_before_the_broker_leads() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[1], &[1], &[0, 1]], &[("min.insync.replicas", "2")]);
    let lost = rig.state(0).directories[0];
    let kept: Vec<_> = dirs(1).into_iter().filter(|dir| *dir != lost).collect();
    assert_eq!(rig.state(1).directories, kept);
    rig.silence(1);
    let asked = Registration {
        log_dirs: vec![kept[0], DirId([99; 16])],
        clean_epoch: rig.epoch(1),
        ..registration(1, 2)
    };
    rig.register_with(asked).unwrap();
    let without_it = Heartbeat {
        offline_dirs: vec![lost],
        ..rig.heartbeat(1)
    };
    rig.beat_with(without_it).unwrap();
    assert_eq!(rig.show(), "none@1 isr=", "offline: its only replica is gone");
    assert_eq!(rig.state(1).leader, Some(BrokerId(1)));
    let on_lost = rig.state(2).directories[1] == lost;
    assert_eq!(rig.state(2).elr.contains(&BrokerId(1)), !on_lost);
    let asked = AssignDirectories {
        broker: BrokerId(1),
        broker_epoch: rig.epoch(1),
        partitions: vec![(rig.partition(0), kept[0]), (rig.partition(1), lost)],
    };
    let Ok(Reply::AssignDirectories(results)) = rig.ask(Command::AssignDirectories(asked)) else {
        panic!("another reply")
    };
    assert_eq!(results, [Ok(()), Err(ErrorCode::InvalidRequest)]);
    assert_eq!(rig.state(0).directories, kept);
    assert_eq!(rig.elect(Election::Unclean), Ok(()));
    assert_eq!(rig.show(), "1@2 isr=1 recovering");
}

/// What others have is copied to a new directory, whatever only the lost one had stays missed; and where one of the
/// broker's directories is offline only, nothing moves.
#[test]
fn replicas_on_a_lost_disk_get_another_directory() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1, 0], &[1, 0], &[1], &[1]], &[]);
    let before: Vec<DirId> = (0..4).map(|at| rig.state(at).directories[0]).collect();
    assert!(before[0] == before[2] && before[1] == before[3], "in turns");
    rig.silence(1);
    let (kept, new) = (before[1], DirId([99; 16]));
    let again = |life, has_all_dirs| Registration {
        log_dirs: vec![kept, new],
        has_all_dirs,
        ..registration(1, life)
    };
    let after = |rig: &Rig| (0..4).map(|at| rig.state(at).directories[0]).collect::<Vec<_>>();
    rig.register_with(again(2, false)).unwrap();
    assert_eq!(after(&rig), before);
    rig.silence(1);
    rig.register_with(again(3, true)).unwrap();
    assert_eq!(after(&rig), [new, kept, before[2], kept]);
    rig.beat(1);
    assert_eq!(rig.show(), "0@1 isr=0", "it has nothing yet");
}

/// Whoever has everything may be away for a moment.
#[test]
fn a_lost_directory_is_replaced_where_an_eligible_replica_is_away() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1, 0]], &[("min.insync.replicas", "2")]);
    rig.silence(1);
    rig.silence(0);
    assert_eq!(rig.show(), "none@2 isr= elr=1,0 last=0");
    let new = DirId([99; 16]);
    let again = Registration {
        log_dirs: vec![new],
        has_all_dirs: true,
        ..registration(1, 2)
    };
    rig.register_with(again).unwrap();
    assert_eq!(rig.state(0).directories[0], new);
    assert_eq!(rig.show(), "none@2 isr= elr=0 last=0");
}

/// Nobody has it when the broker comes back without its disk; later somebody leads.
#[test]
fn a_lost_directory_is_replaced_once_another_replica_leads() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1, 0]], &[]);
    rig.silence(0);
    rig.silence(1);
    let (lost, new) = (rig.state(0).directories[0], DirId([99; 16]));
    let again = Registration {
        log_dirs: vec![new],
        has_all_dirs: true,
        ..registration(1, 2)
    };
    rig.register_with(again).unwrap();
    rig.beat(1);
    assert_eq!(rig.state(0).directories[0], lost, "{}", rig.show());
    rig.register(0, 2, NO_CLEAN_EPOCH).unwrap();
    rig.beat(0);
    assert_eq!(rig.elect(Election::Unclean), Ok(()), "{}", rig.show());
    rig.beat(1);
    assert_eq!(rig.state(0).directories[0], new, "{}", rig.show());
}

/// A disk fails in a running broker: what is on it is led by others, the rest stays.
#[test]
fn a_failed_disk_costs_its_leaderships_alone() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1, 0], &[1, 0]], &[]);
    let failed = rig.state(0).directories[0];
    let asked = Heartbeat {
        offline_dirs: vec![failed],
        ..rig.heartbeat(1)
    };
    assert_eq!(rig.beat_with(asked).unwrap(), (true, false, false));
    assert_eq!(rig.show(), "0@1 isr=0");
    assert_eq!(rig.state(1).leader, Some(BrokerId(1)));
    // All of them: it can serve nothing.
    let asked = Heartbeat {
        offline_dirs: dirs(1),
        ..rig.heartbeat(1)
    };
    assert_eq!(rig.beat_with(asked).unwrap(), (true, true, false));
    assert_eq!(rig.state(1).leader, Some(BrokerId(0)));
}

/// A disk is full in a running broker: who has space leads, and takes it in again once it has some. What nobody else has
/// stays with it, and can be read.
#[test]
fn a_full_disk_costs_what_others_can_lead() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[1, 0, 2], &[1]], &[("min.insync.replicas", "2")]);
    let full = |rig: &Rig, id: i32| Heartbeat {
        full_dirs: dirs(id),
        ..rig.heartbeat(id)
    };
    let beat = |rig: &mut Rig, id| rig.beat_with(full(rig, id)).unwrap();
    assert_eq!(beat(&mut rig, 1), (true, false, false));
    assert_eq!(rig.show(), "0@1 isr=0,2");
    assert_eq!(rig.state(1).leader, Some(BrokerId(1)));
    // It is not asked in, and not led back.
    assert_eq!(rig.set_isr(&[0, 1, 2]), Err(ErrorCode::IneligibleReplica));
    rig.ask(Command::BalanceLeaders).unwrap();
    let settled = rig.image.epoch;
    beat(&mut rig, 1);
    assert_eq!((rig.show().as_str(), rig.image.epoch), ("0@1 isr=0,2", settled));
    beat(&mut rig, 0);
    assert_eq!(rig.show(), "2@2 isr=2 elr=0");
    // The last one with space: nobody could take over from it.
    beat(&mut rig, 2);
    assert_eq!(rig.show(), "2@2 isr=2 elr=0");
    rig.beat(1);
    assert_eq!(rig.set_isr(&[2, 1]).map(|state| state.isr.len()), Ok(2));
    beat(&mut rig, 2);
    assert_eq!(rig.show(), "1@3 isr=1 elr=2");
}

/// The id is free again; its partitions have other leaders.
#[test]
fn an_unregistered_broker_is_gone() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1, 0]], &[]);
    let unregister = Command::UnregisterBroker { broker: BrokerId(1) };
    rig.ask(unregister.clone()).unwrap();
    assert_eq!(rig.show(), "0@1 isr=0");
    let error = rig.ask(unregister).unwrap_err();
    assert_eq!(error.message, "Broker ID 1 is not currently registered");
    rig.register(1, 2, NO_CLEAN_EPOCH).unwrap();
    rig.beat(1);
    assert_eq!(rig.set_isr(&[0, 1]).map(|state| state.isr.len()), Ok(2));
}
