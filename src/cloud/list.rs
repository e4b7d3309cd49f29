//! Lists: in pages, in one answer that is read as it comes, or in one that is short.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, stream};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Cloud, CloudError,
    auth::Subject,
    elements::Elements,
    http::{Answer, Call, Kind, Opened},
};
use crate::model::Deadline;

/// How long each answer of a list may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records to a page. The most that the cloud allows is not published; one that gives fewer says by the
/// number of its pages how many there are.
const PER_PAGE: &str = "100";

/// A record, and the JSON text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is understood of it.
    pub record: T,
    /// All that the cloud said, as it said it: from outside, and not redacted.
    pub json: String,
}

/// What a list is of: how it is found in an answer, and how each record is read.
pub(super) struct Kindred<Wire, T> {
    /// With its article: "a device".
    pub what: &'static str,
    /// The names that the list goes by.
    pub fields: &'static [&'static str],
    pub parse: fn(Wire) -> Option<T>,
}

impl<Wire, T> Clone for Kindred<Wire, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Wire, T> Copy for Kindred<Wire, T> {}

impl<Wire: DeserializeOwned, T> Kindred<Wire, T> {
    /// The records of one answer.
    pub(super) fn of(self, answer: &Answer) -> Result<Vec<Listed<T>>, CloudError> {
        let read =
            |json| self.read(json).ok_or_else(|| answer.is_not(&format!("a list, each {}", self.what)));
        answer.elements(self.fields)?.into_iter().map(read).collect()
    }

    fn read(self, json: String) -> Option<Listed<T>> {
        let record = serde_json::from_str(&json).ok().and_then(self.parse)?;
        Some(Listed { record, json })
    }
}

#[derive(Deserialize)]
struct Paged {
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default, deserialize_with = "super::devices::number")]
    total_pages: Option<u64>,
}

/// Where a list in pages has got to.
struct Pages<T> {
    ready: VecDeque<Listed<T>>,
    /// The page to ask for next; none after the last.
    next: Option<u64>,
    /// How the last page began.
    began: Option<String>,
}

impl Cloud {
    /// A list of a product's that comes in pages (`?page=&perPage=`), each asked for when the one before
    /// is used up. Whoever joins or leaves meanwhile may be missed, or come twice.
    pub(super) fn in_pages<Wire: DeserializeOwned, T>(
        &self,
        path: Vec<String>,
        kindred: Kindred<Wire, T>,
    ) -> impl Stream<Item = Result<Listed<T>, CloudError>> + use<Wire, T> {
        let cloud = self.clone();
        let start = Pages { ready: VecDeque::new(), next: Some(1), began: None };
        stream::try_unfold(start, move |mut pages| {
            let (cloud, path) = (cloud.clone(), path.clone());
            async move {
                loop {
                    if let Some(listed) = pages.ready.pop_front() {
                        return Ok(Some((listed, pages)));
                    }
                    let Some(page) = pages.next else { return Ok(None) };
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    cloud.turn(page, &path, kindred, &mut pages).await?;
                }
            }
        })
    }

    async fn turn<Wire: DeserializeOwned, T>(
        &self,
        page: u64,
        path: &[&str],
        kindred: Kindred<Wire, T>,
        pages: &mut Pages<T>,
    ) -> Result<(), CloudError> {
        let number = page.to_string();
        let query = [("page", number.as_str()), ("perPage", PER_PAGE)];
        let call = Call::get(path).asking(&query).about(Kind::OfProduct);
        let deadline = Deadline::after(PATIENCE, "a page of the list");
        let answer = self.send_as(Subject::Product, &call, deadline).await?;
        let total = Paged::deserialize(answer.json()).ok().and_then(|paged| paged.meta.total_pages);
        let records = kindred.of(&answer)?;
        let began = records.first().map(|listed| listed.json.clone());
        // A server that counts no pages ends with an empty one, or knows none and repeats itself.
        let repeated = total.is_none() && began == pages.began;
        let last = match total {
            Some(total) => page >= total,
            None => records.is_empty() || repeated,
        };
        pages.next = (!last).then_some(page + 1);
        if !repeated {
            pages.ready = records.into();
        }
        pages.began = began;
        Ok(())
    }

    /// A list of the user's own that comes in one answer, which is read as it comes.
    pub(super) fn as_it_comes<Wire: DeserializeOwned, T>(
        &self,
        path: &'static [&'static str],
        kindred: Kindred<Wire, T>,
    ) -> impl Stream<Item = Result<Listed<T>, CloudError>> + use<Wire, T> {
        enum Stage {
            Before(Cloud),
            Within(Box<Opened>, Box<Elements>),
            After,
        }
        stream::try_unfold(Stage::Before(self.clone()), move |mut stage| async move {
            loop {
                stage = match stage {
                    Stage::Before(cloud) => {
                        let deadline = Deadline::after(PATIENCE, "the list");
                        let token = cloud.token(&Subject::User, deadline).await?;
                        let opened = cloud.open(&Call::get(path), &token, deadline).await?;
                        Stage::Within(opened.into(), Elements::new(kindred.fields).into())
                    }
                    Stage::Within(mut opened, mut elements) => match elements.next() {
                        Some(json) => {
                            let Some(listed) = kindred.read(json.clone()) else {
                                return Err(opened.is_not(&json, kindred.what));
                            };
                            return Ok(Some((listed, Stage::Within(opened, elements))));
                        }
                        None if opened.feed(&mut elements).await? => Stage::Within(opened, elements),
                        None => {
                            let found = elements.found();
                            let answer = opened.judge(*elements)?;
                            if !found {
                                return Err(answer.is_not("a list"));
                            }
                            Stage::After
                        }
                    },
                    Stage::After => return Ok(None),
                }
            }
        })
    }
}
