//! What a topic may be called.

use super::refuse;
use crate::metadata::command::CommandError;
use crate::metadata::image::Image;
use crate::model::ErrorCode;

/// Room for the partition's number and the suffix of a deleted directory in a file name of 255 bytes.
const NAME_LEN_MAX: usize = 249;
/// The log of a KRaft quorum; no client may have a topic of this name.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

//= behaviour 69: 1 to 249 characters of [a-zA-Z0-9._-], not "." or ".."
pub fn check(name: &str) -> Result<(), CommandError> {
    let why = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        CLUSTER_METADATA_TOPIC => {
            return refuse(
                ErrorCode::InvalidRequest,
                format!("Creation of internal topic {name} is prohibited."),
            );
        }
        _ if name.len() > NAME_LEN_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {NAME_LEN_MAX}")
        }
        _ if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) =>
        {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    refuse(
        ErrorCode::InvalidTopicException,
        format!("Topic name is invalid: {why}"),
    )
}

/// The name is neither taken nor, as a metric's name, the same as another topic's.
pub fn check_free(image: &Image, name: &str) -> Result<(), CommandError> {
    if image.topic(name).is_some() {
        return refuse(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists."));
    }
    match image.colliding_topic(name) {
        Some(other) => {
            let message = format!("Topic '{name}' collides with existing topic: {other}");
            refuse(ErrorCode::InvalidTopicException, message)
        }
        None => Ok(()),
    }
}
