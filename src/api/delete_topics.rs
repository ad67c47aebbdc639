//! DeleteTopics: by name, and from version 6 on by id.

use std::rc::Rc;

use crate::metadata::{Command, CommandError, DeleteTopic, Reply};
use crate::model::{ErrorCode, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DeletableTopicResult, DeleteTopicsRequestData, DeleteTopicsResponseData, kafka_string, kafka_uuid, text, topic_id,
};

use super::topic_creation::until_visible;
use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::DELETE_TOPICS,
    name: "DeleteTopics",
    versions: 1..=6,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DeleteTopicsRequestData>(&cx)?;
    let asked = asked(&message, version);
    let valid: Vec<DeleteTopic> = asked.iter().flatten().cloned().collect();
    let deleted = match cx.config().delete_topic_enable {
        true => submit(&cx, valid).await,
        false => vec![Err(disabled(version)); valid.len()],
    };
    let gone: Vec<TopicId> = deleted.iter().flatten().map(|(_, id)| *id).collect();
    until_visible(&cx, |image| gone.iter().all(|id| image.topic_by_id(id).is_none())).await;
    Answer::message(&respond(asked, deleted), version)
}

type Deleted = Result<(String, TopicId), CommandError>;

/// What to delete, or the error of an entry that names nothing or two things.
fn asked(request: &DeleteTopicsRequestData, version: i16) -> Vec<Result<DeleteTopic, ErrorCode>> {
    if version < 6 {
        return request
            .topic_names
            .iter()
            .map(|name| Ok(DeleteTopic::Name(text(name))))
            .collect();
    }
    let entry = |name: Option<String>, id: TopicId| match (name, id == TopicId::ZERO) {
        (Some(name), true) => Ok(DeleteTopic::Name(name)),
        (None, false) => Ok(DeleteTopic::Id(id)),
        _ => Err(ErrorCode::InvalidRequest),
    };
    request
        .topics
        .iter()
        .map(|topic| entry(topic.name.as_ref().map(text), topic_id(topic.topic_id)))
        .collect()
}

async fn submit(cx: &Context, topics: Vec<DeleteTopic>) -> Vec<Deleted> {
    let count = topics.len();
    if count == 0 {
        return Vec::new();
    }
    match cx.router().metadata().submit(Command::DeleteTopics { topics }).await {
        Ok(Reply::DeleteTopics(deleted)) => deleted,
        Ok(_) => vec![Err(wrong_reply()); count],
        Err(error) => vec![Err(error); count],
    }
}

fn disabled(version: i16) -> CommandError {
    let code = if version < 3 {
        ErrorCode::InvalidRequest
    } else {
        ErrorCode::TopicDeletionDisabled
    };
    CommandError {
        code,
        message: "Topic deletion is disabled.".to_string(),
    }
}

fn respond(asked: Vec<Result<DeleteTopic, ErrorCode>>, deleted: Vec<Deleted>) -> DeleteTopicsResponseData {
    let mut deleted = deleted.into_iter();
    let responses = asked.into_iter().map(|asked| match asked {
        Ok(asked) => result(asked, deleted.next().unwrap_or_else(|| Err(wrong_reply()))),
        Err(code) => DeletableTopicResult {
            error_code: code.code(),
            error_message: Some(kafka_string(
                "A topic must be given by its name or by its id, and not by both.",
            )),
            ..Default::default()
        },
    });
    DeleteTopicsResponseData {
        responses: responses.collect(),
        ..Default::default()
    }
}

fn result(asked: DeleteTopic, deleted: Deleted) -> DeletableTopicResult {
    match (deleted, asked) {
        (Ok((name, id)), _) => DeletableTopicResult {
            name: Some(kafka_string(&name)),
            topic_id: kafka_uuid(id),
            ..Default::default()
        },
        (Err(error), DeleteTopic::Name(name)) => DeletableTopicResult {
            name: Some(kafka_string(&name)),
            ..failure(error)
        },
        (Err(error), DeleteTopic::Id(id)) => DeletableTopicResult {
            topic_id: kafka_uuid(id),
            ..failure(error)
        },
    }
}

fn failure(error: CommandError) -> DeletableTopicResult {
    DeletableTopicResult {
        error_code: error.code.code(),
        error_message: Some(kafka_string(&error.message)),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{DeleteTopicState, Encode};

    /// Behaviour 68: by id from version 6 on; each entry gets its own answer; every version encodes.
    #[test]
    fn every_entry_is_answered() {
        let state = |name: Option<&str>, id: TopicId| DeleteTopicState {
            name: name.map(kafka_string),
            topic_id: kafka_uuid(id),
            ..Default::default()
        };
        let id = TopicId([7; 16]);
        let topics = vec![state(Some("a"), TopicId::ZERO), state(None, id), state(Some("b"), id)];
        let request = DeleteTopicsRequestData {
            topics,
            ..Default::default()
        };
        let gone = CommandError {
            code: ErrorCode::UnknownTopicId,
            message: "no".to_string(),
        };
        let response = respond(
            asked(&request, 6),
            vec![Ok(("a".to_string(), TopicId([1; 16]))), Err(gone)],
        );
        let codes: Vec<_> = response.responses.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [0, 100, 42]);
        assert_eq!(topic_id(response.responses[1].topic_id), id);
        response.encode(6).expect("version 6 carries null names");

        let names = DeleteTopicsRequestData {
            topic_names: vec![kafka_string("a")],
            ..Default::default()
        };
        for version in 1..=5 {
            let response = respond(asked(&names, version), vec![Err(disabled(version))]);
            assert_eq!(response.responses[0].error_code, if version < 3 { 42 } else { 73 });
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
