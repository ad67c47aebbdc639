//! Members of groups without a consumer around them: joins, shares out and syncs, each on a connection of its own, all
//! from one thread.

use std::time::{Duration, Instant};

use anyhow::bail;
use bytes::{BufMut, Bytes, BytesMut};
use corelane::client::{ClientError, Connection};
use corelane::model::ErrorCode;
use corelane::wire::messages::{
    FindCoordinatorRequestData, JoinGroupRequestData, JoinGroupRequestProtocol, JoinGroupResponseData,
    SyncGroupRequestAssignment, SyncGroupRequestData, kafka_string, text,
};

/// A member that says nothing for long is to stay.
const SESSION_MS: i32 = 1_800_000;
const REBALANCE_MS: i32 = 300_000;
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(50);

pub struct Member {
    pub group: String,
    pub id: String,
    pub generation: i32,
    topic: String,
    pub leads: bool,
}

impl Member {
    /// A member on each connection, of the group that `group` names for its place. All have synced when this returns.
    pub fn join_all(
        connections: &mut [Connection],
        group: impl Fn(usize) -> String,
        topic: &str,
    ) -> anyhow::Result<Vec<Member>> {
        let mut members = Vec::new();
        for (at, connection) in connections.iter_mut().enumerate() {
            let group = group(at);
            members.push(Member {
                id: ask_for_id(connection, &group, topic)?,
                group,
                generation: -1,
                topic: topic.to_owned(),
                leads: false,
            });
        }
        for (member, connection) in members.iter().zip(&mut *connections) {
            connection.send(&member.join_request())?;
        }
        settle(&mut members, connections, 0)?;
        Ok(members)
    }

    pub fn join_request(&self) -> JoinGroupRequestData {
        join_request(&self.group, &self.id, &self.topic)
    }
}

/// Receives the joins' answers and syncs everyone; leaders give everyone the same number of `partitions`.
pub fn settle(members: &mut [Member], connections: &mut [Connection], partitions: usize) -> anyhow::Result<()> {
    for (member, connection) in members.iter_mut().zip(&mut *connections) {
        let answer = connection.receive::<JoinGroupRequestData>()?;
        ClientError::check(answer.error_code, None)?;
        member.generation = answer.generation_id;
        member.leads = answer.leader == answer.member_id;
        connection.send(&sync_request(member, &answer, partitions))?;
    }
    for connection in connections {
        let answer = connection.receive::<SyncGroupRequestData>()?;
        ClientError::check(answer.error_code, None)?;
    }
    Ok(())
}

/// Also waits until the coordinator is there.
fn ask_for_id(connection: &mut Connection, group: &str, topic: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = connection.call(&join_request(group, "", topic))?;
        match ErrorCode::from_code(answer.error_code) {
            ErrorCode::MemberIdRequired => return Ok(text(&answer.member_id)),
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                // Asking for it has it made.
                let find = FindCoordinatorRequestData::default().with_coordinator_keys(vec![kafka_string(group)]);
                connection.call(&find)?;
            }
            ErrorCode::CoordinatorLoadInProgress => {}
            error => bail!("a join is refused with {error:?}"),
        }
        if Instant::now() > deadline {
            bail!("no coordinator within {PATIENCE:?}");
        }
        std::thread::sleep(RETRY);
    }
}

fn join_request(group: &str, id: &str, topic: &str) -> JoinGroupRequestData {
    let mut subscription = BytesMut::new();
    subscription.put_i16(0);
    subscription.put_i32(1);
    put_string(&mut subscription, topic);
    subscription.put_i32(-1);
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(kafka_string("range"))
        .with_metadata(subscription.freeze());
    JoinGroupRequestData::default()
        .with_group_id(kafka_string(group))
        .with_session_timeout_ms(SESSION_MS)
        .with_rebalance_timeout_ms(REBALANCE_MS)
        .with_member_id(kafka_string(id))
        .with_protocol_type(kafka_string("consumer"))
        .with_protocols(vec![protocol])
}

fn sync_request(member: &Member, joined: &JoinGroupResponseData, partitions: usize) -> SyncGroupRequestData {
    let each = partitions / joined.members.len().max(1);
    let assignment = |(at, to): (usize, &corelane::wire::messages::JoinGroupResponseMember)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(to.member_id.clone())
            .with_assignment(assignment(&member.topic, at * each..(at + 1) * each))
    };
    SyncGroupRequestData::default()
        .with_group_id(kafka_string(&member.group))
        .with_generation_id(member.generation)
        .with_member_id(kafka_string(&member.id))
        .with_protocol_type(Some(kafka_string("consumer")))
        .with_protocol_name(Some(kafka_string("range")))
        .with_assignments(joined.members.iter().enumerate().map(assignment).collect())
}

fn assignment(topic: &str, partitions: std::ops::Range<usize>) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    put_string(&mut bytes, topic);
    bytes.put_i32(partitions.len() as i32);
    partitions.for_each(|partition| bytes.put_i32(partition as i32));
    bytes.put_i32(-1);
    bytes.freeze()
}

fn put_string(bytes: &mut BytesMut, text: &str) {
    bytes.put_i16(text.len() as i16);
    bytes.put_slice(text.as_bytes());
}
