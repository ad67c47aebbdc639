//! Clients that ask for producer ids: new producers, over a connection to each broker, and brokers themselves, for whole blocks.
//! No id is given twice in a run, whoever ends, starts again or decides.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::cluster::Cluster;
use super::node::{Node, PORT};
use crate::metadata::{Command, Reply};
use crate::model::BrokerId;
use crate::rt::sim::{between_ms, paced};
use crate::rt::{self, SocketAddr, Stream, random_u64, sleep};

const ANSWER_PATIENCE: Duration = Duration::from_secs(6);
/// One question in so many is for a block.
const BLOCK_ONE_IN: u64 = 4;
/// InitProducerId, version 1, of a client without a name and without transactions.
const REQUEST: [u8; 20] = [
    0, 0, 0, 16, 0, 22, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x10, 0,
];
/// Length, number, throttling, error, id and epoch.
const ANSWER_LEN: usize = 24;

/// What was given, by its first: the first that was not, and by whom.
#[derive(Default)]
pub struct Given(RefCell<BTreeMap<i64, (i64, BrokerId)>>);

impl Given {
    fn give(&self, ids: Range<i64>, by: BrokerId) {
        let mut given = self.0.borrow_mut();
        let twice = given
            .range(..ids.end)
            .next_back()
            .filter(|(_, (end, _))| *end > ids.start);
        assert!(
            twice.is_none(),
            "broker {} gives the producer ids {ids:?}, and was before it (first, (end, broker)): {twice:?}",
            by.0
        );
        given.insert(ids.start, (ids.end, by));
    }
}

/// Asks one broker, whenever it runs.
pub async fn ask(cluster: Rc<Cluster>, broker: BrokerId) {
    while !cluster.is_over.get() {
        sleep(between_ms(random_u64() % 2_500)).await;
        let node = cluster.node(broker);
        if node.router().is_none() {
            continue;
        }
        let ids = match random_u64().is_multiple_of(BLOCK_ONE_IN) {
            true => rt::timeout(paced(ANSWER_PATIENCE), block(node)).await,
            false => rt::timeout(paced(ANSWER_PATIENCE), one(node)).await,
        };
        if let Some(ids) = ids.flatten() {
            cluster.note(format!("broker {}: gives the producer ids {ids:?}", broker.0));
            cluster.saw("producer ids were given");
            cluster.given.give(ids, broker);
        }
    }
}

/// As one of its shards asks for it.
async fn block(node: &Node) -> Option<Range<i64>> {
    let router = node.router()?;
    let epoch = router.image().brokers.get(&node.id)?.epoch;
    let command = Command::AllocateProducerIds { broker: node.id, epoch };
    match router.metadata().submit(command).await {
        Ok(Reply::ProducerIds { first, count }) => Some(first..first + i64::from(count)),
        _ => None,
    }
}

async fn one(node: &Node) -> Option<Range<i64>> {
    let answer = exchange(SocketAddr::new(node.host.address(), PORT)).await.ok()?;
    let (error, id) = (&answer[12..14], &answer[14..22]);
    let id = i64::from_be_bytes(id.try_into().expect("eight bytes"));
    (error == [0, 0]).then_some(id..id + 1)
}

async fn exchange(address: SocketAddr) -> io::Result<[u8; ANSWER_LEN]> {
    let stream = Stream::connect(address, paced(ANSWER_PATIENCE)).await?;
    stream.write_all(&[Bytes::from_static(&REQUEST)]).await?;
    let mut answer = [0; ANSWER_LEN];
    let mut len = 0;
    while len < ANSWER_LEN {
        match stream.read(&mut answer[len..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => len += count,
        }
    }
    Ok(answer)
}
