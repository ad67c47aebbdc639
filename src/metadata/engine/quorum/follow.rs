//! What a broker that does not vote asks a voter for, and what it gets, as the bodies of messages. Drawn in FORMAT.md.

use std::io;

use bytes::Bytes;

use super::codec::{self, Reader, put_bytes, put_u32, put_u64};
use super::types::Voter;
use crate::model::BrokerId;

const NONE: u8 = 0;
const COMMITS: u8 = 1;
const STATE: u8 = 2;
const OTHER_HISTORY: u8 = 3;

/// How far an observer has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Position {
    /// Those that voted when it came there; none: it has nothing. An epoch means the same to a quorum that one of them is in
    /// still: one that was begun anew has none of their numbers.
    pub of: Vec<u64>,
    /// Of its image.
    pub epoch: u64,
    /// Entries of the quorum's log that lead to it, for whoever describes the quorum.
    pub end: u64,
}

#[derive(Debug, PartialEq)]
pub struct Followed {
    pub term: u64,
    /// Those that vote, by their numbers, and who of them leads, as far as is known to who answers.
    pub voters: Vec<(u64, Voter)>,
    pub leader: Option<BrokerId>,
    /// `None`: he does not lead himself.
    pub news: Option<News>,
}

#[derive(Debug, PartialEq)]
pub enum News {
    /// What follows on the observer's position; it may be nothing.
    Commits(Vec<Passed>),
    /// In place of all that it has.
    State(Passed),
    /// What it has was never, or cannot be known to have been, this quorum's.
    OtherHistory,
}

/// A record list, and where it leads.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    pub epoch: u64,
    pub end: u64,
    pub records: Bytes,
}

impl Position {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_u32(out, self.of.len() as u32);
        self.of.iter().for_each(|id| put_u64(out, *id));
        put_u64(out, self.epoch);
        put_u64(out, self.end);
    }

    pub fn read(body: Bytes) -> io::Result<Position> {
        let mut reader = Reader::new(body);
        let position = Position {
            of: many(&mut reader, Reader::u64)?,
            epoch: reader.u64()?,
            end: reader.u64()?,
        };
        reader.end()?;
        Ok(position)
    }
}

impl Followed {
    pub fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.term);
        put_u32(out, self.voters.len() as u32);
        for (id, voter) in &self.voters {
            put_u64(out, *id);
            codec::put_voter(out, voter);
        }
        out.push(u8::from(self.leader.is_some()));
        self.leader.iter().for_each(|leader| put_u32(out, leader.0 as u32));
        match &self.news {
            None => out.push(NONE),
            Some(News::Commits(commits)) => {
                out.push(COMMITS);
                put_u32(out, commits.len() as u32);
                commits.iter().for_each(|passed| passed.put(out));
            }
            Some(News::State(passed)) => {
                out.push(STATE);
                passed.put(out);
            }
            Some(News::OtherHistory) => out.push(OTHER_HISTORY),
        }
    }

    pub fn read(body: Bytes) -> io::Result<Followed> {
        let mut reader = Reader::new(body);
        let term = reader.u64()?;
        let voters = many(&mut reader, |reader| Ok((reader.u64()?, reader.voter()?)))?;
        let leader = match reader.flag()? {
            true => Some(BrokerId(reader.u32()? as i32)),
            false => None,
        };
        let news = match reader.u8()? {
            NONE => None,
            COMMITS => Some(News::Commits(many(&mut reader, Passed::read)?)),
            STATE => Some(News::State(Passed::read(&mut reader)?)),
            OTHER_HISTORY => Some(News::OtherHistory),
            _ => return Err(codec::broken()),
        };
        reader.end()?;
        Ok(Followed {
            term,
            voters,
            leader,
            news,
        })
    }
}

impl Passed {
    fn put(&self, out: &mut Vec<u8>) {
        put_u64(out, self.epoch);
        put_u64(out, self.end);
        put_bytes(out, &self.records);
    }

    fn read(reader: &mut Reader) -> io::Result<Passed> {
        Ok(Passed {
            epoch: reader.u64()?,
            end: reader.u64()?,
            records: reader.bytes()?,
        })
    }
}

fn many<T>(reader: &mut Reader, one: fn(&mut Reader) -> io::Result<T>) -> io::Result<Vec<T>> {
    (0..reader.u32()?).map(|_| one(reader)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(leader: Option<BrokerId>, news: Option<News>) -> Followed {
        Followed {
            term: 3,
            voters: vec![(
                7,
                Voter {
                    node: BrokerId(1),
                    ..Voter::at("h", 9093)
                },
            )],
            leader,
            news,
        }
    }

    #[test]
    fn what_was_put_is_read_again_and_nothing_else_is() {
        let passed = Passed {
            epoch: 5,
            end: 9,
            records: Bytes::from_static(b"records"),
        };
        for one in [
            followed(None, None),
            followed(Some(BrokerId(1)), Some(News::OtherHistory)),
            followed(Some(BrokerId(1)), Some(News::Commits(Vec::new()))),
            followed(
                Some(BrokerId(1)),
                Some(News::Commits(vec![passed.clone(), passed.clone()])),
            ),
            followed(Some(BrokerId(1)), Some(News::State(passed))),
        ] {
            let mut bytes = Vec::new();
            one.put(&mut bytes);
            let bytes = Bytes::from(bytes);
            assert_eq!(Followed::read(bytes.clone()).unwrap(), one);
            for len in 0..bytes.len() {
                assert!(Followed::read(bytes.slice(..len)).is_err());
            }
            assert!(Followed::read([&bytes[..], &[0]].concat().into()).is_err());
        }
    }
}
