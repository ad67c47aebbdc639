//! The consensus library's requests and answers as the bodies of messages. Drawn in FORMAT.md.

use std::io;

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};

use super::codec::{self, Reader, put_log_id, put_u32, put_u64, put_vote};
use super::types::{Snapshot, Types, Vote};

const SUCCESS: u8 = 0;
const PARTIAL: u8 = 1;
const CONFLICT: u8 = 2;
const HIGHER_VOTE: u8 = 3;

pub fn put_append(out: &mut Vec<u8>, request: &AppendEntriesRequest<Types>) {
    put_vote(out, &request.vote);
    put_log_id(out, request.prev_log_id.as_ref());
    put_log_id(out, request.leader_commit.as_ref());
    put_u32(out, request.entries.len() as u32);
    for entry in &request.entries {
        put_u64(out, entry.log_id.index());
        codec::put_entry(out, entry);
    }
}

pub fn append(body: Bytes) -> io::Result<AppendEntriesRequest<Types>> {
    let mut reader = Reader::new(body);
    let vote = reader.vote()?;
    let prev_log_id = reader.log_id()?;
    let leader_commit = reader.log_id()?;
    let mut entries = Vec::new();
    for _ in 0..reader.u32()? {
        let index = reader.u64()?;
        entries.push(reader.entry(index)?);
    }
    reader.end()?;
    Ok(AppendEntriesRequest {
        vote,
        prev_log_id,
        entries,
        leader_commit,
    })
}

pub fn put_appended(out: &mut Vec<u8>, response: &AppendEntriesResponse<Types>) {
    match response {
        AppendEntriesResponse::Success => out.push(SUCCESS),
        AppendEntriesResponse::PartialSuccess(last) => {
            out.push(PARTIAL);
            put_log_id(out, last.as_ref());
        }
        AppendEntriesResponse::Conflict => out.push(CONFLICT),
        AppendEntriesResponse::HigherVote(vote) => {
            out.push(HIGHER_VOTE);
            put_vote(out, vote);
        }
    }
}

pub fn appended(body: Bytes) -> io::Result<AppendEntriesResponse<Types>> {
    let mut reader = Reader::new(body);
    match reader.u8()? {
        SUCCESS => Ok(AppendEntriesResponse::Success),
        PARTIAL => reader.log_id().map(AppendEntriesResponse::PartialSuccess),
        CONFLICT => Ok(AppendEntriesResponse::Conflict),
        HIGHER_VOTE => reader.vote().map(AppendEntriesResponse::HigherVote),
        _ => Err(codec::broken()),
    }
}

pub fn put_vote_request(out: &mut Vec<u8>, request: &VoteRequest<Types>) {
    put_vote(out, &request.vote);
    put_log_id(out, request.last_log_id.as_ref());
    out.push(u8::from(request.leadership_transfer));
}

pub fn vote_request(body: Bytes) -> io::Result<VoteRequest<Types>> {
    let mut reader = Reader::new(body);
    Ok(VoteRequest {
        vote: reader.vote()?,
        last_log_id: reader.log_id()?,
        leadership_transfer: reader.flag()?,
    })
}

pub fn put_voted(out: &mut Vec<u8>, response: &VoteResponse<Types>) {
    put_vote(out, &response.vote);
    out.push(u8::from(response.vote_granted));
    put_log_id(out, response.last_log_id.as_ref());
}

pub fn voted(body: Bytes) -> io::Result<VoteResponse<Types>> {
    let mut reader = Reader::new(body);
    Ok(VoteResponse {
        vote: reader.vote()?,
        vote_granted: reader.flag()?,
        last_log_id: reader.log_id()?,
    })
}

pub fn put_snapshot(out: &mut Vec<u8>, vote: &Vote, snapshot: &Snapshot) {
    put_vote(out, vote);
    codec::put_meta(out, &snapshot.meta);
    out.extend_from_slice(&snapshot.snapshot);
}

pub fn snapshot(body: Bytes) -> io::Result<(Vote, Snapshot)> {
    let mut reader = Reader::new(body);
    let vote = reader.vote()?;
    let meta = reader.meta()?;
    let snapshot = reader.rest();
    Ok((vote, Snapshot { meta, snapshot }))
}

pub fn put_installed(out: &mut Vec<u8>, response: &SnapshotResponse<Types>) {
    put_vote(out, &response.vote);
}

pub fn installed(body: Bytes) -> io::Result<SnapshotResponse<Types>> {
    Reader::new(body).vote().map(SnapshotResponse::new)
}

pub fn put_transfer(out: &mut Vec<u8>, request: &TransferLeaderRequest<Types>) {
    put_vote(out, request.from_leader());
    put_u64(out, *request.to_node_id());
    put_log_id(out, request.last_log_id());
}

pub fn transfer(body: Bytes) -> io::Result<TransferLeaderRequest<Types>> {
    let mut reader = Reader::new(body);
    let (from, to, last) = (reader.vote()?, reader.u64()?, reader.log_id()?);
    Ok(TransferLeaderRequest::new(from, to, last))
}
