//! What a directory was formatted for: the voters of the quorum that it is to begin with others, or alone; or none, where it
//! waits to be added to one. A node that was not formatted, and found that it is to begin one, notes the same. Read once, by a
//! start without metadata. Drawn in FORMAT.md.

use std::path::Path;

use super::super::StartError;
use super::super::frame::{self, Kind};
use super::codec::{put_u32, put_u64, put_voter};
use super::form;
use super::log::read_sealed;
use super::message::ANYONE;
use super::types::Voter;
use crate::metadata::command::NewVoter;
use crate::model::{BrokerId, DirId};
use crate::rt::blocking;

const INITIAL: &str = "quorum-initial";

/// Formats the metadata directory of node `me`, which has none yet, for a quorum of those voters; none: it waits to be added.
pub fn format(dir: &Path, me: BrokerId, voters: &[NewVoter]) -> Result<(), StartError> {
    let mut initial = Voters::new();
    for voter in voters {
        let id = number_of(voter.directory);
        if voter.node == me {
            form::set_voter_id(dir, id)?;
        }
        initial.push((id, Voter::from(voter)));
    }
    write(dir, &initial)
}

/// Notes that node `me` begins one alone: the next start does, should this one fail.
pub fn note_alone(dir: &Path, id: u64, me: Voter) -> Result<(), StartError> {
    write(dir, &vec![(id, me)])
}

/// The number that every node gives the voter with that directory, before any of them has started.
fn number_of(directory: DirId) -> u64 {
    let halves = directory
        .0
        .chunks_exact(8)
        .map(|half| half.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    halves.fold(0, |one, other| one ^ other).max(ANYONE + 1)
}

/// By their numbers.
pub type Voters = Vec<(u64, Voter)>;

/// `None`: the directory was not formatted, or for no certain quorum.
pub fn read(dir: &Path) -> Result<Option<Voters>, StartError> {
    let path = dir.join(INITIAL);
    let Some(mut payload) = read_sealed(&path, Kind::Initial)? else {
        return Ok(None);
    };
    let count = payload.u32();
    let voters = count.and_then(|count| (0..count).map(|_| Ok((payload.u64()?, payload.voter()?))).collect());
    voters.map(Some).map_err(|cause| StartError::Io { path, cause })
}

fn write(dir: &Path, voters: &Voters) -> Result<(), StartError> {
    let path = dir.join(INITIAL);
    let bytes = frame::seal(Kind::Initial, 0, |out| {
        put_u32(out, voters.len() as u32);
        for (id, voter) in voters {
            put_u64(out, *id);
            put_voter(out, voter);
        }
    });
    let written = blocking::create_dir_all(dir).and_then(|()| blocking::write_file_atomic(&path, &bytes));
    written.map_err(|cause| StartError::Io { path, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_formatted_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let itself = Voter {
            directory: Some(DirId([9; 16])),
            ..Voter::at("h", 9093)
        };
        for voters in [vec![], vec![(7, itself), (8, Voter::at("i", 9094))]] {
            write(dir.path(), &voters).unwrap();
            assert_eq!(read(dir.path()).unwrap(), Some(voters));
        }
    }

    /// Each node gives all the same numbers, and takes its own.
    #[test]
    fn nodes_that_are_formatted_for_one_quorum_agree() {
        let voter = |node: i32| NewVoter {
            node: BrokerId(node),
            directory: DirId([[node as u8; 8], [7; 8]].concat().try_into().unwrap()),
            host: "h".to_owned(),
            port: 9093,
        };
        let voters = [voter(1), voter(2)];
        let dirs = [1, 2].map(|node| {
            let dir = tempfile::tempdir().unwrap();
            format(dir.path(), BrokerId(node), &voters).unwrap();
            dir
        });
        let [first, second] = dirs.each_ref().map(|dir| read(dir.path()).unwrap().unwrap());
        assert_eq!(first, second);
        let own = |at: usize| form::voter_id(dirs[at].path()).unwrap();
        assert_eq!([first[0].0, first[1].0], [own(0), own(1)]);
        assert_ne!(own(0), own(1));
    }
}
