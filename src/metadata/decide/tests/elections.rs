//! Elections that somebody asks for.

use super::rig::Rig;
use super::*;
use crate::metadata::command::Election;

/// A leadership goes back to the first replica, by request or by the timer.
#[test]
fn the_preferred_replica_leads_again() {
    for by_timer in [false, true] {
        let mut rig = Rig::new(3);
        rig.topic(&[&[0, 1, 2]], &[]);
        assert_eq!(rig.elect(Election::Preferred), Err(ErrorCode::ElectionNotNeeded));
        rig.silence(0);
        assert_eq!(
            rig.elect(Election::Preferred),
            Err(ErrorCode::PreferredLeaderNotAvailable)
        );
        rig.beat(0);
        assert_eq!(
            rig.elect(Election::Preferred),
            Err(ErrorCode::PreferredLeaderNotAvailable),
            "not yet in sync"
        );
        rig.set_isr(&[1, 2, 0]).unwrap();
        if by_timer {
            let Ok(Reply::BalanceLeaders { moved: 1, more: false }) = rig.ask(Command::BalanceLeaders) else {
                panic!("one leadership is astray")
            };
        } else {
            assert_eq!(rig.elect(Election::Preferred), Ok(()));
        }
        assert_eq!(rig.show(), "0@2 isr=1,2,0");
        let Ok(Reply::BalanceLeaders { moved: 0, more: false }) = rig.ask(Command::BalanceLeaders) else {
            panic!("all is in order")
        };
    }
}

/// Only where it is asked for, or where the topic allows it.
#[test]
fn an_unclean_election_needs_permission() {
    let offline = |rig: &mut Rig| {
        rig.topic(&[&[0, 1]], &[]);
        rig.set_isr(&[0]).unwrap();
        assert_eq!(rig.elect(Election::Unclean), Err(ErrorCode::ElectionNotNeeded));
        rig.silence(0);
        assert_eq!(rig.show(), "none@1 isr= elr=0 last=0");
    };
    let mut rig = Rig::new(3);
    offline(&mut rig);
    let Ok(Reply::ElectOffline {
        elected: 0,
        more: false,
    }) = rig.ask(Command::ElectOffline)
    else {
        panic!("nobody has allowed it")
    };
    assert_eq!(rig.elect(Election::Unclean), Ok(()));
    assert_eq!(rig.show(), "1@2 isr=1 recovering");

    let mut rig = Rig::new(3);
    offline(&mut rig);
    rig.configure("unclean.leader.election.enable", "true");
    assert_eq!(rig.show(), "1@2 isr=1 recovering");

    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1]], &[("unclean.leader.election.enable", "true")]);
    rig.set_isr(&[0]).unwrap();
    rig.silence(0);
    assert_eq!(rig.show(), "1@1 isr=1 recovering");
}

/// Nobody is alive.
#[test]
fn nobody_is_elected_where_nobody_lives() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[1]], &[("unclean.leader.election.enable", "true")]);
    rig.silence(1);
    assert_eq!(
        rig.elect(Election::Unclean),
        Err(ErrorCode::EligibleLeadersNotAvailable)
    );
}

/// "All partitions" answers of those that need an election; unknown names have an error each.
#[test]
fn an_election_of_all_names_those_that_need_it() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1], &[1, 0], &[0, 2]], &[]);
    rig.silence(0);
    rig.beat(0);
    let elect = |partitions| Command::ElectLeaders {
        election: Election::Preferred,
        partitions,
    };
    let Ok(Reply::ElectLeaders(results)) = rig.ask(elect(None)) else {
        panic!("another reply")
    };
    let named: Vec<_> = results
        .iter()
        .map(|(topic, index, _)| (topic.as_str(), *index))
        .collect();
    assert_eq!(named, [("t", 0), ("t", 2)]);
    let asked = vec![("nope".to_owned(), 0), ("t".to_owned(), 9)];
    let Ok(Reply::ElectLeaders(results)) = rig.ask(elect(Some(asked))) else {
        panic!("another reply")
    };
    let messages: Vec<_> = results.iter().map(|(_, _, result)| outcome(result)).collect();
    let unknown = |message| refused(ErrorCode::UnknownTopicOrPartition, message);
    assert_eq!(
        messages,
        [unknown("No such topic as nope"), unknown("No such partition as t-9")]
    );
}
