//! Lanes: bounded queues into a shard or the control thread, from any thread, and one-shot replies.

use std::marker::PhantomData;

/// The lane holds its limit of messages; the message comes back.
pub struct LaneFull<T>(pub T);

/// The sending end; clone it for each sender.
pub struct Tx<T>(PhantomData<fn(T)>);
impl<T> Clone for Tx<T> {
    fn clone(&self) -> Self {
        Tx(PhantomData)
    }
}
/// The receiving end, for one task.
pub struct Rx<T>(PhantomData<fn(T)>);

/// A lane that holds at most `limit` messages.
pub fn lane<T: Send>(limit: usize) -> (Tx<T>, Rx<T>) {
    let _ = limit;
    todo!()
}

impl<T: Send> Tx<T> {
    pub fn try_send(&self, message: T) -> Result<(), LaneFull<T>> {
        let _ = message;
        todo!()
    }
    /// Moves as many messages from the front of `queue` as fit, in order, with one wake-up.
    pub fn try_send_all(&self, queue: &mut std::collections::VecDeque<T>) {
        let _ = queue;
        todo!()
    }
    /// All receivers are gone.
    pub fn is_closed(&self) -> bool {
        todo!()
    }
}
impl<T: Send> Rx<T> {
    /// Waits for at least one message, then takes at most `max`, in order, into `burst`. False when all senders are gone.
    pub async fn recv_burst(&mut self, burst: &mut Vec<T>, max: usize) -> bool {
        let _ = (burst, max);
        todo!()
    }
}

/// A reply that is given once, from any thread. `None` when the sender went away.
pub fn oneshot<T: Send>() -> (OneshotTx<T>, OneshotRx<T>) {
    todo!()
}
pub struct OneshotTx<T>(PhantomData<fn(T)>);
pub struct OneshotRx<T>(PhantomData<fn(T)>);
impl<T: Send> OneshotTx<T> {
    pub fn send(self, value: T) {
        let _ = value;
        todo!()
    }
}
impl<T: Send> Future for OneshotRx<T> {
    type Output = Option<T>;
    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        todo!()
    }
}
