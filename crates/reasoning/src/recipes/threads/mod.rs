//! Discussions: a first post, and replies to it. Importers make them of JSON lines ([`json_lines`]) and of the dumps of
//! question-and-answer sites ([`posts_xml`]).

pub mod json_lines;
pub mod posts_xml;

use serde::{Deserialize, Serialize};

use super::runner::Record;
use super::time::Time;
use crate::suites::Origin;

/// A discussion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// Its name in the archive.
    pub id: String,
    /// Where it stands.
    pub origin: Origin,
    /// The title; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The part of the archive, such as a forum; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    /// How difficult the question is, where the archive says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<f64>,
    /// The posts in their order, at least one.
    pub posts: Vec<Post>,
}

/// A post.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Post {
    /// Its number in the thread, as the archive counts; unique there.
    pub post_number: u64,
    /// Who wrote it; none where the user is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When.
    pub time: Time,
    /// What, with LaTeX.
    pub text: String,
    /// Names or addresses of what is attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// How many thanked for it, or voted for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub thanks: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Thread {
    /// The date of a thread: that of its first post.
    pub fn date(&self) -> Time {
        self.posts.first().map_or(Time::default(), |post| post.time)
    }

    /// The post with a number.
    pub fn post(&self, number: u64) -> Option<&Post> {
        self.posts.iter().find(|post| post.post_number == number)
    }

    /// What is wrong with the thread, if anything is.
    fn fault(&self) -> Option<String> {
        if self.id.is_empty() {
            return Some("the id is empty".into());
        }
        if self.posts.is_empty() {
            return Some("there is no post".into());
        }
        let mut numbers = std::collections::HashSet::new();
        let twice = self.posts.iter().find(|post| !numbers.insert(post.post_number));
        twice.map(|post| format!("two posts have the number {}", post.post_number))
    }
}

impl Record for Thread {
    fn id(&self) -> &str {
        &self.id
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }
}
