//! What the members of a group of consumers tell each other through the coordinator, which takes it for bytes: what each
//! wants to read, what each is given, and how the leader shares out (Kafka's range assignor).
//!
//! ```text
//!   subscription   version i16 │ topics: name string │ user data bytes? │ … (later versions add to it)
//!   assignment     version i16 │ topics: name string, partitions: i32 │ user data bytes?
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::wire::primitives::{DecodeError, Reader, Writer};

/// The name under which members offer this way of sharing out.
pub(super) const RANGE: &str = "range";
/// The first version: what later ones add is about other ways of sharing out.
const VERSION: i16 = 0;
/// Bytes of an empty topic name, and of one without partitions.
const NAME_BYTES_MIN: usize = 2;
const TOPIC_BYTES_MIN: usize = 6;

/// Topics and their partitions.
pub(super) type Assignment = BTreeMap<String, Vec<i32>>;

/// A member that wants its share.
#[derive(Clone, Debug)]
pub(super) struct Sharer {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) topics: BTreeSet<String>,
}

pub(super) fn write_subscription(topics: &[&str]) -> Bytes {
    let mut writer = Writer::new(false, 64);
    writer.i16(VERSION);
    writer.array(topics, |writer, topic| writer.string(topic.as_bytes()));
    no_user_data(&mut writer);
    writer.into_bytes()
}

/// The topics of a subscription of any version.
pub(super) fn read_subscription(bytes: &Bytes) -> Result<BTreeSet<String>, DecodeError> {
    let mut reader = Reader::new(bytes, false);
    reader.i16()?;
    let topics = reader.array(NAME_BYTES_MIN, name)?;
    Ok(topics.into_iter().collect())
}

pub(super) fn write_assignment(assignment: &Assignment) -> Bytes {
    let topics: Vec<_> = assignment.iter().collect();
    let mut writer = Writer::new(false, 64);
    writer.i16(VERSION);
    writer.array(&topics, |writer, (topic, partitions)| {
        writer.string(topic.as_bytes());
        writer.array(partitions, |writer, partition| writer.i32(*partition));
    });
    no_user_data(&mut writer);
    writer.into_bytes()
}

/// An assignment of any version; that of a member which was given nothing may be no bytes at all.
pub(super) fn read_assignment(bytes: &Bytes) -> Result<Assignment, DecodeError> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let mut reader = Reader::new(bytes, false);
    reader.i16()?;
    let topics = reader.array(TOPIC_BYTES_MIN, |reader| {
        Ok((name(reader)?, reader.array(4, Reader::i32)?))
    })?;
    Ok(topics.into_iter().collect())
}

fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    Ok(String::from_utf8_lossy(&reader.string()?).into_owned())
}

fn no_user_data(writer: &mut Writer) {
    writer.i32(-1);
}

/// Each topic for itself: its partitions in a row, cut into as many pieces as members read it; the first members get the
/// larger ones. Static members come first and keep their places, whatever ids they are given.
pub(super) fn share_out(
    mut sharers: Vec<Sharer>,
    partitions: &BTreeMap<String, usize>,
) -> BTreeMap<String, Assignment> {
    sharers.sort_by(|one, other| one.place().cmp(&other.place()));
    let nothing = |sharer: &Sharer| (sharer.member_id.clone(), Assignment::new());
    let mut shares: BTreeMap<String, Assignment> = sharers.iter().map(nothing).collect();
    for (topic, count) in partitions {
        let readers: Vec<_> = sharers.iter().filter(|sharer| sharer.topics.contains(topic)).collect();
        let mut first = 0;
        for (at, reader) in readers.iter().enumerate() {
            let larger = usize::from(at < count % readers.len());
            let end = first + count / readers.len() + larger;
            let share = (first as i32..end as i32).collect::<Vec<i32>>();
            first = end;
            if let (false, Some(own)) = (share.is_empty(), shares.get_mut(&reader.member_id)) {
                own.insert(topic.clone(), share);
            }
        }
    }
    shares
}

impl Sharer {
    fn place(&self) -> (bool, &str) {
        match &self.instance_id {
            Some(instance_id) => (false, instance_id),
            None => (true, &self.member_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharer(member_id: &str, instance_id: Option<&str>, topics: &[&str]) -> Sharer {
        Sharer {
            member_id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    /// The published layouts, byte by byte.
    #[test]
    fn what_members_tell_each_other_is_laid_out_as_kafkas() {
        let subscription = [0, 0, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
        assert_eq!(write_subscription(&["t"]), subscription.as_slice());
        let newer = Bytes::from([&[0, 3], &subscription[2..], &[0, 0, 0, 0, 0, 0, 0, 9]].concat());
        assert_eq!(read_subscription(&newer).unwrap(), BTreeSet::from(["t".to_owned()]));

        let assigned = Assignment::from([("t".to_owned(), vec![2, 3])]);
        let bytes = [
            &[0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2][..],
            &[0, 0, 0, 2, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff],
        ];
        assert_eq!(write_assignment(&assigned), bytes.concat());
        assert_eq!(read_assignment(&Bytes::from(bytes.concat())), Ok(assigned));
        assert_eq!(read_assignment(&Bytes::new()), Ok(Assignment::new()));
        assert!(read_assignment(&Bytes::from_static(&[0, 0, 0])).is_err());
    }

    #[test]
    fn partitions_are_shared_out_in_ranges() {
        let sharers = vec![
            sharer("b", None, &["t", "u"]),
            sharer("a", None, &["t"]),
            sharer("z", Some("one"), &["t"]),
        ];
        let partitions = BTreeMap::from([("t".to_owned(), 7), ("u".to_owned(), 2)]);
        let shares = share_out(sharers, &partitions);
        assert_eq!(shares["z"], Assignment::from([("t".to_owned(), vec![0, 1, 2])]));
        assert_eq!(shares["a"], Assignment::from([("t".to_owned(), vec![3, 4])]));
        let both = [("t".to_owned(), vec![5, 6]), ("u".to_owned(), vec![0, 1])];
        assert_eq!(shares["b"], Assignment::from(both));
    }

    #[test]
    fn more_members_than_partitions_leave_some_with_nothing() {
        let sharers = ["a", "b", "c"].map(|id| sharer(id, None, &["t"]));
        let shares = share_out(sharers.to_vec(), &BTreeMap::from([("t".to_owned(), 2)]));
        let counts: Vec<usize> = shares.values().map(BTreeMap::len).collect();
        assert_eq!(counts, [1, 1, 0]);
    }
}
